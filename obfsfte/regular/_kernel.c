/* rank and unrank in C: the walks of ranking.py over the layout that kernel.py makes.

Whatever has more than 64 bits is an array of limbs, the least significant first. A number is taken
apart at a node by comparing it with the offsets of the arcs, and by one division by the count of
the target, whose reciprocal is in the layout. Inside a box there is no division at all:

   rank      P = P * Q + v                for each group of digits, v its value, Q its radix
   unrank    F = P / size, as a fraction: P * inverse
             v . F = F * Q                for each group: v is what comes out in front of the point

F is never too small, and too large by less than 1/size, so that every v is exact. What of it lies
below that precision is dropped as groups leave it. Where all radices are powers of two the groups
are bit fields, and nothing is multiplied.

A layout is checked once, when its Table is made: no index in it leads outside. The strings that are
ranked come from strangers: no byte is used before it was looked up in a table of 256 entries. Calls
take a few microseconds, so the GIL is kept. */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

/* ---- limbs ---- */

typedef uint64_t limb;

/* a * b + c + d, which always fits: returns the lower half. */
static inline limb
multiply(limb a, limb b, limb c, limb d, limb *upper)
{
#ifdef __SIZEOF_INT128__
    unsigned __int128 product = (unsigned __int128)a * b + c + d;
    *upper = (limb)(product >> 64);
    return (limb)product;
#else
    limb a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    limb low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (uint32_t)middle;
    limb high = a1 * b1 + (middle >> 32) + (other >> 32);
    low = (other << 32) | (uint32_t)low;
    low += c;
    high += low < c;
    low += d;
    high += low < d;
    *upper = high;
    return low;
#endif
}

static int
compare(const limb *a, const limb *b, size_t size)
{
    while (size--) {
        if (a[size] != b[size]) {
            return a[size] < b[size] ? -1 : 1;
        }
    }
    return 0;
}

/* a -= b; returns the borrow. */
static limb
subtract(limb *a, const limb *b, size_t size)
{
    limb borrow = 0;
    for (size_t i = 0; i < size; i++) {
        limb taken = b[i] + borrow;
        borrow = (taken < borrow) + (a[i] < taken);
        a[i] -= taken;
    }
    return borrow;
}

/* a += c; returns the carry. */
static limb
add_one_limb(limb *a, size_t size, limb c)
{
    for (size_t i = 0; c && i < size; i++) {
        a[i] += c;
        c = a[i] < c;
    }
    return c;
}

/* a += b; returns the carry. */
static limb
add(limb *a, const limb *b, size_t size)
{
    limb carry = 0;
    for (size_t i = 0; i < size; i++) {
        limb sum = a[i] + carry;
        carry = sum < carry;
        a[i] = sum + b[i];
        carry += a[i] < sum;
    }
    return carry;
}

/* a = a * factor + c; returns what does not fit. */
static limb
scale(limb *a, size_t size, limb factor, limb c)
{
    for (size_t i = 0; i < size; i++) {
        a[i] = multiply(a[i], factor, c, 0, &c);
    }
    return c;
}

/* a += b * factor; returns what does not fit. */
static limb
add_product(limb *a, const limb *b, size_t size, limb factor)
{
    limb carry = 0;
    for (size_t i = 0; i < size; i++) {
        a[i] = multiply(b[i], factor, a[i], carry, &carry);
    }
    return carry;
}

/* a -= b * factor; returns what is still to be taken from the next limb. */
static limb
subtract_product(limb *a, const limb *b, size_t size, limb factor)
{
    limb carry = 0;
    for (size_t i = 0; i < size; i++) {
        limb taken = multiply(b[i], factor, carry, 0, &carry);
        carry += a[i] < taken;
        a[i] -= taken;
    }
    return carry;
}

/* The upper of two limbs after a shift to the left by `bits` < 64. */
static inline limb
shifted(limb upper, limb lower, unsigned bits)
{
    return bits ? upper << bits | lower >> (64 - bits) : upper;
}

/* Divide `number`, which has one limb more than `size` and is below divisor << 64, by `divisor`;
returns the quotient and leaves the remainder.

With the divisor and the number moved up alike until the divisor's highest bit is the highest of a
limb t, `reciprocal` is 2**127 / (t + 1): the product with the number's two highest limbs
is at most the quotient, and less by no more than 5. */
static limb
divide_step(limb *number, const limb *divisor, size_t size, limb reciprocal, unsigned shift)
{
    limb third = size > 1 ? number[size - 2] : 0;
    limb upper = shifted(number[size], number[size - 1], shift);
    limb lower = shifted(number[size - 1], third, shift);
    limb quotient, rest, high;
    multiply(lower, reciprocal, 0, 0, &rest);
    rest = multiply(upper, reciprocal, rest, 0, &high);
    quotient = high << 1 | rest >> 63;
    if (quotient) {
        number[size] -= subtract_product(number, divisor, size, quotient);
    }
    for (int i = 0; i < 5 && (number[size] || compare(number, divisor, size) >= 0); i++) {
        number[size] -= subtract(number, divisor, size);
        quotient++;
    }
    return quotient;
}

/* ---- the layout; kernel.py draws it ---- */

enum { LIMBS, NODES, ARCS, BOXES, RUNS, CHUNKS, SPANS, TEXTS, ALPHABETS, FIRSTS, SECTIONS };

typedef struct {
    uint64_t first;  /* which of FIRSTS */
    uint64_t arcs, arc_count;
    uint64_t count, size;  /* where in LIMBS, how many */
    uint64_t reciprocal, shift;
} Node;

typedef struct {
    uint64_t box, target;
    uint64_t offset;  /* where in LIMBS, as many as the count of the node; not of its first arc */
} Arc;

typedef struct {
    uint64_t length;
    uint64_t runs, run_count;
    uint64_t size;              /* limbs of a place */
    uint64_t bits;              /* bit length of the number of its strings, or the exact logarithm */
    uint64_t fraction, inverse; /* limbs of a fraction, or 0 for an exact logarithm; in LIMBS */
} Box;

typedef struct {
    uint64_t chunk, repeat;
} Run;

typedef struct {
    uint64_t length;
    uint64_t spans, span_count;
    uint64_t radix, bits;     /* the logarithm of the radix, rounded down */
    uint64_t inverse, shift;  /* 2**(64 + shift) / radix, rounded up */
} Chunk;

typedef struct {
    uint64_t alphabet;  /* or LITERAL */
    uint64_t text;      /* of a literal */
    uint64_t length;
} Span;

#define LITERAL UINT64_MAX

typedef struct {
    uint64_t radix;
    uint8_t symbols[256]; /* by digit */
    uint8_t digits[256];  /* by symbol; of others, no digit: 255 */
} Alphabet;

typedef struct {
    uint16_t arcs[256]; /* by the first byte of the box; of others, no arc: 65535 */
    uint8_t places[256];
} First;

static const size_t RECORD_WORDS[SECTIONS] = {
    1,
    sizeof(Node) / 8,
    sizeof(Arc) / 8,
    sizeof(Box) / 8,
    sizeof(Run) / 8,
    sizeof(Chunk) / 8,
    sizeof(Span) / 8,
    1,
    sizeof(Alphabet) / 8,
    sizeof(First) / 8,
};

typedef struct {
    PyObject_HEAD
    PyObject *owner; /* of the layout, if it is that of another table */
    uint64_t *words; /* the whole layout, if it is ours; what follows points into it */
    const Node *root;
    const limb *limbs;
    const Node *nodes;
    const Arc *arcs;
    const Box *boxes;
    const Run *runs;
    const Chunk *chunks;
    const Span *spans;
    const uint8_t *texts;
    const Alphabet *alphabets;
    const First *firsts;
    uint64_t counts[SECTIONS]; /* records in each section */
    uint64_t length;           /* of the strings */
    uint64_t most_limbs;       /* of any count, place or fraction */
} Table;

/* ---- boxes ---- */

/* The value of a chunk's digits; -1 - i if the byte at i is not one of those that can be there. */
static inline int64_t
read_chunk(const Table *table, const Chunk *chunk, const uint8_t *text)
{
    uint64_t value = 0;
    const uint8_t *at = text;
    const Span *end = table->spans + chunk->spans + chunk->span_count;
    for (const Span *span = end - chunk->span_count; span < end; span++) {
        if (span->alphabet == LITERAL) {
            const uint8_t *literal = table->texts + span->text;
            if (memcmp(at, literal, span->length)) {
                while (*at == *literal) {
                    at++;
                    literal++;
                }
                return text - at - 1;
            }
        }
        else {
            const Alphabet *alphabet = &table->alphabets[span->alphabet];
            uint64_t radix = alphabet->radix;
            int wrong = 0;
            for (uint64_t i = 0; i < span->length; i++) {
                uint64_t digit = alphabet->digits[at[i]];
                wrong |= digit >= radix;
                value = value * radix + digit;
            }
            if (wrong) {
                while (alphabet->digits[*at] < radix) {
                    at++;
                }
                return text - at - 1;
            }
        }
        at += span->length;
    }
    return (int64_t)value;
}

/* The digits of a value, from the highest: as a fraction of the radix, like F above. */
static inline void
write_chunk(const Table *table, const Chunk *chunk, uint64_t value, uint8_t *text)
{
    limb upper, lower = multiply(value, chunk->inverse, 0, 0, &upper);
    unsigned shift = (unsigned)chunk->shift;
    limb fraction = (shift ? upper << (64 - shift) | lower >> shift : lower) + 1;
    const Span *end = table->spans + chunk->spans + chunk->span_count;
    for (const Span *span = end - chunk->span_count; span < end; span++) {
        if (span->alphabet == LITERAL) {
            memcpy(text, table->texts + span->text, span->length);
        }
        else {
            const Alphabet *alphabet = &table->alphabets[span->alphabet];
            uint64_t radix = alphabet->radix;
            for (uint64_t i = 0; i < span->length; i++) {
                limb digit;
                fraction = multiply(fraction, radix, 0, 0, &digit);
                text[i] = alphabet->symbols[digit];
            }
        }
        text += span->length;
    }
}

/* The number of a text in a box, of box->size limbs. Returns -1, or where the first byte is that
cannot be there. */
static Py_ssize_t
rank_box(const Table *table, const Box *box, const uint8_t *text, limb *place)
{
    uint64_t at = 0, used = 0, bits = box->bits;
    memset(place, 0, box->size * sizeof(limb));
    for (uint64_t r = 0; r < box->run_count; r++) {
        const Run *run = &table->runs[box->runs + r];
        const Chunk *chunk = &table->chunks[run->chunk];
        for (uint64_t i = 0; i < run->repeat; i++) {
            int64_t value = read_chunk(table, chunk, text + at);
            if (value < 0) {
                return (Py_ssize_t)at - (Py_ssize_t)value - 1;
            }
            at += chunk->length;
            if (box->fraction) {
                limb carry = scale(place, used, chunk->radix, (limb)value);
                if (carry && used < box->size) {
                    place[used++] = carry;
                }
            }
            else if (chunk->bits) {
                bits -= chunk->bits;
                unsigned shift = bits % 64;
                place[bits / 64] |= (limb)value << shift;
                if (shift + chunk->bits > 64) {
                    place[bits / 64 + 1] |= (limb)value >> (64 - shift);
                }
            }
        }
    }
    return -1;
}

/* Bits below the precision that a fraction needs: each limb that is dropped adds 2**-16 of the
error that is allowed, and there are fewer than 2**15 limbs. */
#define SPARE_BITS 16

/* place / size of the box, from above: see the bounds at the top of kernel.py. */
static void
make_fraction(const Box *box, const limb *inverse, const limb *place, limb *product)
{
    uint64_t size = box->size, skipped = size > 2 ? size - 2 : 0;
    memset(product, 0, (size + box->fraction + 1) * sizeof(limb));
    for (uint64_t i = 0; i < size; i++) {
        /* The columns below `skipped` are too small to matter. */
        uint64_t from = skipped > i ? skipped - i : 0;
        product[i + box->fraction + 1] = add_product(
            product + i + from, inverse + from, box->fraction + 1 - from, place[i]);
    }
    add_one_limb(product + size, box->fraction, 2);
}

/* The text of that number. `scratch` has room for size + fraction + 1 limbs. */
static void
unrank_box(const Table *table, const Box *box, const limb *place, uint8_t *text, limb *scratch)
{
    uint64_t bits = box->bits, used = box->fraction;
    limb *fraction = scratch + box->size;
    if (used) {
        make_fraction(box, table->limbs + box->inverse, place, scratch);
    }
    for (uint64_t r = 0; r < box->run_count; r++) {
        const Run *run = &table->runs[box->runs + r];
        const Chunk *chunk = &table->chunks[run->chunk];
        for (uint64_t i = 0; i < run->repeat; i++) {
            uint64_t value = 0;
            bits -= chunk->bits;
            if (used) {
                value = scale(fraction, used, chunk->radix, 0);
                while (used > 1 && (used - 1) * 64 >= bits + SPARE_BITS) {
                    fraction++;
                    used--;
                    add_one_limb(fraction, used, 1);
                }
            }
            else if (chunk->bits) {
                unsigned shift = bits % 64;
                value = place[bits / 64] >> shift;
                if (shift + chunk->bits > 64) {
                    value |= place[bits / 64 + 1] << (64 - shift);
                }
                value &= chunk->radix - 1;
            }
            write_chunk(table, chunk, value, text);
            text += chunk->length;
        }
    }
}

/* ---- walks ---- */

/* Rank a string into `sum`, of 2 * most_limbs + 2 limbs that are 0; `place` has most_limbs.
Returns -1, or at which byte the string leaves the language. */
static Py_ssize_t
walk_rank(const Table *table, const uint8_t *text, limb *sum, limb *place)
{
    const size_t room = 2 * table->most_limbs + 2;
    const Node *node = table->root;
    uint64_t at = 0;
    while (node->arc_count) {
        if (at >= table->length) {
            return (Py_ssize_t)at;
        }
        const First *first = &table->firsts[node->first];
        uint64_t which = first->arcs[text[at]];
        if (which >= node->arc_count) {
            return (Py_ssize_t)at;
        }
        const Arc *arc = &table->arcs[node->arcs + which];
        const Box *box = &table->boxes[arc->box];
        const Node *target = &table->nodes[arc->target];
        const limb *weight = table->limbs + target->count;
        if (which) {
            limb carry = add(sum, table->limbs + arc->offset, node->size);
            add_one_limb(sum + node->size, room - node->size, carry);
        }
        if (box->length == 1) {
            limb carry = add_product(sum, weight, target->size, first->places[text[at]]);
            add_one_limb(sum + target->size, room - target->size, carry);
        }
        else {
            if (box->length > table->length - at) {
                return (Py_ssize_t)at;
            }
            Py_ssize_t wrong = rank_box(table, box, text + at, place);
            if (wrong >= 0) {
                return (Py_ssize_t)at + wrong;
            }
            for (uint64_t i = 0; i < box->size; i++) {
                limb carry = add_product(sum + i, weight, target->size, place[i]);
                uint64_t next = i + target->size;
                add_one_limb(sum + next, room - next, carry);
            }
        }
        at += box->length;
        node = target;
    }
    return at == table->length ? -1 : (Py_ssize_t)at;
}

/* The last arc whose offset is not above the number. */
static uint64_t
choose_arc(const Table *table, const Node *node, const limb *number)
{
    uint64_t low = 0, high = node->arc_count;
    while (high - low > 1) {
        uint64_t middle = (low + high) / 2;
        const limb *offset = table->limbs + table->arcs[node->arcs + middle].offset;
        if (compare(number, offset, node->size) < 0) {
            high = middle;
        }
        else {
            low = middle;
        }
    }
    return low;
}

/* Unrank `number`, of most_limbs + 1 limbs; `place` has most_limbs, `scratch` 2 * most_limbs + 1.
Returns 0, or -1 if a layout is wrong. */
static int
walk_unrank(const Table *table, limb *number, uint8_t *text, limb *place, limb *scratch)
{
    const Node *node = table->root;
    uint64_t at = 0;
    while (node->arc_count) {
        uint64_t which = choose_arc(table, node, number);
        const Arc *arc = &table->arcs[node->arcs + which];
        const Box *box = &table->boxes[arc->box];
        const Node *target = &table->nodes[arc->target];
        const limb *weight = table->limbs + target->count;
        if (box->length > table->length - at) {
            return -1;
        }
        if (which) {
            subtract(number, table->limbs + arc->offset, node->size);
        }
        if (!target->arc_count) {
            memcpy(place, number, box->size * sizeof(limb));
        }
        else {
            uint64_t digits = 0;
            if (node->size >= target->size) {
                digits = node->size - target->size + 1;
                digits = digits < box->size ? digits : box->size;
            }
            for (uint64_t i = digits; i < box->size; i++) {
                place[i] = 0;
            }
            number[node->size] = 0;
            while (digits--) {
                place[digits] = divide_step(number + digits, weight, target->size,
                                            target->reciprocal, (unsigned)target->shift);
            }
        }
        if (box->length == 1) {
            const Chunk *chunk = &table->chunks[table->runs[box->runs].chunk];
            const Span *span = &table->spans[chunk->spans];
            text[at] = span->alphabet == LITERAL
                           ? table->texts[span->text]
                           : table->alphabets[span->alphabet].symbols[place[0] & 255];
        }
        else {
            unrank_box(table, box, place, text + at, scratch);
        }
        at += box->length;
        node = target;
    }
    return at == table->length ? 0 : -1;
}

/* ---- the check of a layout ---- */

static int
within(uint64_t start, uint64_t count, uint64_t all)
{
    return start <= all && count <= all - start;
}

static int
is_sound(Table *table)
{
    const uint64_t *counts = table->counts;
    if (!counts[NODES]) {
        return 0;
    }
    for (uint64_t i = 0; i < counts[ALPHABETS]; i++) {
        if (table->alphabets[i].radix < 2 || table->alphabets[i].radix > 256) {
            return 0;
        }
    }
    for (uint64_t i = 0; i < counts[SPANS]; i++) {
        const Span *span = &table->spans[i];
        if (span->alphabet == LITERAL ? !within(span->text, span->length, counts[TEXTS] * 8)
                                      : span->alphabet >= counts[ALPHABETS]) {
            return 0;
        }
    }
    for (uint64_t i = 0; i < counts[CHUNKS]; i++) {
        const Chunk *chunk = &table->chunks[i];
        uint64_t length = 0;
        if (!chunk->span_count || !within(chunk->spans, chunk->span_count, counts[SPANS]) ||
            chunk->shift > 63 || chunk->bits > 60) {
            return 0;
        }
        for (uint64_t s = 0; s < chunk->span_count; s++) {
            uint64_t more = table->spans[chunk->spans + s].length;
            if (!more || more > table->length - length) {
                return 0;
            }
            length += more;
        }
        if (length != chunk->length) {
            return 0;
        }
    }
    for (uint64_t i = 0; i < counts[BOXES]; i++) {
        const Box *box = &table->boxes[i];
        uint64_t length = 0, bits = 0;
        if (!box->run_count || !within(box->runs, box->run_count, counts[RUNS]) || !box->size ||
            box->size > counts[LIMBS] || box->bits > box->size * 64 ||
            box->fraction > counts[LIMBS] ||
            (box->fraction && !within(box->inverse, box->fraction + 1, counts[LIMBS]))) {
            return 0;
        }
        for (uint64_t r = 0; r < box->run_count; r++) {
            const Run *run = &table->runs[box->runs + r];
            if (run->chunk >= counts[CHUNKS]) {
                return 0;
            }
            const Chunk *chunk = &table->chunks[run->chunk];
            if (!run->repeat || run->repeat > (table->length - length) / chunk->length) {
                return 0;
            }
            length += run->repeat * chunk->length;
            bits += run->repeat * chunk->bits;
        }
        if (length != box->length || bits > box->bits || (!box->fraction && bits != box->bits)) {
            return 0;
        }
        table->most_limbs = Py_MAX(table->most_limbs, Py_MAX(box->size, box->fraction));
    }
    for (uint64_t i = 0; i < counts[NODES]; i++) {
        const Node *node = &table->nodes[i];
        if (!node->size || !within(node->count, node->size, counts[LIMBS]) || node->shift > 63 ||
            !table->limbs[node->count + node->size - 1] ||
            !within(node->arcs, node->arc_count, counts[ARCS]) ||
            (node->arc_count && node->first >= counts[FIRSTS])) {
            return 0;
        }
        for (uint64_t a = 0; a < node->arc_count; a++) {
            const Arc *arc = &table->arcs[node->arcs + a];
            if (arc->box >= counts[BOXES] || arc->target >= counts[NODES] ||
                (a && !within(arc->offset, node->size, counts[LIMBS]))) {
                return 0;
            }
        }
        table->most_limbs = Py_MAX(table->most_limbs, node->size);
    }
    return table->most_limbs < UINT32_MAX;
}

/* ---- Python ---- */

typedef struct {
    PyObject *to_bytes, *from_bytes, *little, *not_in_language;
} State;

static State *
state_of(Table *table)
{
    return PyType_GetModuleState(Py_TYPE((PyObject *)table));
}

static void
point_into(Table *table, const uint64_t *starts)
{
    table->limbs = (const limb *)(table->words + starts[LIMBS]);
    table->nodes = (const Node *)(table->words + starts[NODES]);
    table->arcs = (const Arc *)(table->words + starts[ARCS]);
    table->boxes = (const Box *)(table->words + starts[BOXES]);
    table->runs = (const Run *)(table->words + starts[RUNS]);
    table->chunks = (const Chunk *)(table->words + starts[CHUNKS]);
    table->spans = (const Span *)(table->words + starts[SPANS]);
    table->texts = (const uint8_t *)(table->words + starts[TEXTS]);
    table->alphabets = (const Alphabet *)(table->words + starts[ALPHABETS]);
    table->firsts = (const First *)(table->words + starts[FIRSTS]);
}

/* Copy the layout: the number of records in each section, then the sections. */
static int
load(Table *table, const uint8_t *layout, size_t size)
{
    uint64_t starts[SECTIONS], at = SECTIONS, words = size / 8;
    if (size % 8 || words < SECTIONS) {
        return -1;
    }
    table->words = PyMem_Malloc(size);
    if (table->words == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(table->words, layout, size);
    for (int i = 0; i < SECTIONS; i++) {
        table->counts[i] = table->words[i];
        if (table->counts[i] > (words - at) / RECORD_WORDS[i]) {
            return -1;
        }
        starts[i] = at;
        at += table->counts[i] * RECORD_WORDS[i];
    }
    point_into(table, starts);
    table->root = table->nodes;
    return at == words && is_sound(table) ? 0 : -1;
}

static PyObject *
table_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Py_buffer layout;
    Py_ssize_t length;
    static char *names[] = {"", "", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "ny*:Table", names, &length, &layout)) {
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Table *table = (Table *)allocate(type, 0);
    if (table != NULL) {
        table->length = length < 0 ? 0 : (uint64_t)length;
        if (load(table, layout.buf, (size_t)layout.len)) {
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_ValueError, "not the layout of a language");
            }
            Py_DECREF(table);
            table = NULL;
        }
    }
    PyBuffer_Release(&layout);
    return (PyObject *)table;
}

static void
table_dealloc(Table *table)
{
    PyTypeObject *type = Py_TYPE((PyObject *)table);
    PyMem_Free(table->words);
    Py_XDECREF(table->owner);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(table);
    Py_DECREF(type);
}

/* Another language in the same layout: its first node, and the length of its strings. */
static PyObject *
table_language(Table *table, PyObject *args)
{
    Py_ssize_t root, length;
    if (!PyArg_ParseTuple(args, "nn:language", &root, &length)) {
        return NULL;
    }
    if (root < 0 || (uint64_t)root >= table->counts[NODES] || length < 0) {
        PyErr_SetString(PyExc_ValueError, "no language of this layout");
        return NULL;
    }
    PyTypeObject *type = Py_TYPE((PyObject *)table);
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Table *other = (Table *)allocate(type, 0);
    if (other != NULL) {
        other->owner = Py_NewRef(table->owner != NULL ? table->owner : (PyObject *)table);
        other->root = table->nodes + root;
        other->limbs = table->limbs;
        other->nodes = table->nodes;
        other->arcs = table->arcs;
        other->boxes = table->boxes;
        other->runs = table->runs;
        other->chunks = table->chunks;
        other->spans = table->spans;
        other->texts = table->texts;
        other->alphabets = table->alphabets;
        other->firsts = table->firsts;
        memcpy(other->counts, table->counts, sizeof(table->counts));
        other->length = (uint64_t)length;
        other->most_limbs = table->most_limbs;
    }
    return (PyObject *)other;
}

static limb
load_limb(const uint8_t *bytes)
{
    limb value = 0;
    for (int i = 7; i >= 0; i--) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static void
store_limb(uint8_t *bytes, limb value)
{
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
}

static PyObject *
number_from_limbs(State *state, const limb *limbs, size_t size)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size * 8);
    if (bytes == NULL) {
        return NULL;
    }
    uint8_t *into = (uint8_t *)PyBytes_AsString(bytes);
    for (size_t i = 0; i < size; i++) {
        store_limb(into + 8 * i, limbs[i]);
    }
    PyObject *number = PyObject_CallFunctionObjArgs(state->from_bytes, bytes, state->little, NULL);
    Py_DECREF(bytes);
    return number;
}

/* -1 with an exception set for what is no whole number or is not below 2**(64 * size). */
static int
limbs_from_number(State *state, PyObject *number, limb *limbs, size_t size)
{
    PyObject *width = PyLong_FromSize_t(size * 8);
    if (width == NULL) {
        return -1;
    }
    PyObject *bytes =
        PyObject_CallFunctionObjArgs(state->to_bytes, number, width, state->little, NULL);
    Py_DECREF(width);
    if (bytes == NULL) {
        return -1;
    }
    const uint8_t *from = (const uint8_t *)PyBytes_AsString(bytes);
    for (size_t i = 0; i < size; i++) {
        limbs[i] = load_limb(from + 8 * i);
    }
    Py_DECREF(bytes);
    return 0;
}

static PyObject *
table_rank(Table *table, PyObject *data)
{
    State *state = state_of(table);
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)) {
        return NULL;
    }
    PyObject *number = NULL;
    size_t most = table->most_limbs;
    limb *memory = PyMem_Malloc((3 * most + 2) * sizeof(limb));
    if (memory == NULL) {
        PyErr_NoMemory();
    }
    else if ((uint64_t)view.len != table->length) {
        PyErr_Format(state->not_in_language, "%zd bytes where the strings have %zd", view.len,
                     (Py_ssize_t)table->length);
    }
    else {
        limb *sum = memory + most;
        memset(sum, 0, (2 * most + 2) * sizeof(limb));
        Py_ssize_t wrong = walk_rank(table, view.buf, sum, memory);
        if (wrong >= 0) {
            PyErr_Format(state->not_in_language, "no string goes on so at byte %zd", wrong);
        }
        else {
            number = number_from_limbs(state, sum, table->root->size);
        }
    }
    PyMem_Free(memory);
    PyBuffer_Release(&view);
    return number;
}

static PyObject *
table_unrank(Table *table, PyObject *number)
{
    State *state = state_of(table);
    size_t most = table->most_limbs, size = table->root->size;
    /* The number, a place, and scratch space. */
    limb *memory = PyMem_Malloc((4 * most + 2) * sizeof(limb));
    if (memory == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *string = NULL;
    memset(memory, 0, (2 * most + 1) * sizeof(limb));
    if (limbs_from_number(state, number, memory, size) == 0) {
        if (compare(memory, table->limbs + table->root->count, size) >= 0) {
            PyErr_SetString(PyExc_OverflowError, "no string of the language has this rank");
        }
        else {
            string = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)table->length);
        }
    }
    if (string != NULL && walk_unrank(table, memory, (uint8_t *)PyBytes_AsString(string),
                                      memory + most + 1, memory + 2 * most + 1)) {
        PyErr_SetString(PyExc_SystemError, "not the layout of a language");
        Py_CLEAR(string);
    }
    PyMem_Free(memory);
    return string;
}

static PyMethodDef table_methods[] = {
    {"rank", (PyCFunction)table_rank, METH_O, "How many strings come before this one."},
    {"unrank", (PyCFunction)table_unrank, METH_O, "The string after so many others."},
    {"language", (PyCFunction)table_language, METH_VARARGS,
     "The table of another language in the same layout: its first node, its length."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot table_slots[] = {
    {Py_tp_doc, "Table(length, layout)\n\nA language laid out for rank and unrank."},
    {Py_tp_new, table_new},
    {Py_tp_dealloc, table_dealloc},
    {Py_tp_methods, table_methods},
    {0, NULL},
};

static PyType_Spec table_spec = {
    .name = "obfsfte.regular._kernel.Table",
    .basicsize = sizeof(Table),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = table_slots,
};

static int
kernel_exec(PyObject *module)
{
    State *state = PyModule_GetState(module);
    PyObject *integers = (PyObject *)&PyLong_Type;
    state->to_bytes = PyObject_GetAttrString(integers, "to_bytes");
    state->from_bytes = PyObject_GetAttrString(integers, "from_bytes");
    state->little = PyUnicode_InternFromString("little");
    PyObject *ranking = PyImport_ImportModule("obfsfte.regular.ranking");
    if (ranking != NULL) {
        state->not_in_language = PyObject_GetAttrString(ranking, "NotInLanguage");
        Py_DECREF(ranking);
    }
    if (!state->to_bytes || !state->from_bytes || !state->little || !state->not_in_language) {
        return -1;
    }
    PyObject *type = PyType_FromModuleAndSpec(module, &table_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    int failed = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return failed;
}

static int
kernel_traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);
    Py_VISIT(state->to_bytes);
    Py_VISIT(state->from_bytes);
    Py_VISIT(state->little);
    Py_VISIT(state->not_in_language);
    return 0;
}

static int
kernel_clear(PyObject *module)
{
    State *state = PyModule_GetState(module);
    Py_CLEAR(state->to_bytes);
    Py_CLEAR(state->from_bytes);
    Py_CLEAR(state->little);
    Py_CLEAR(state->not_in_language);
    return 0;
}

static void
kernel_free(void *module)
{
    kernel_clear(module);
}

static PyModuleDef_Slot kernel_slots[] = {
    {Py_mod_exec, kernel_exec},
    {0, NULL},
};

static PyModuleDef kernel_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_kernel",
    .m_doc = "rank and unrank in C; see kernel.py.",
    .m_size = sizeof(State),
    .m_slots = kernel_slots,
    .m_traverse = kernel_traverse,
    .m_clear = kernel_clear,
    .m_free = kernel_free,
};

PyMODINIT_FUNC
PyInit__kernel(void)
{
    return PyModuleDef_Init(&kernel_module);
}
