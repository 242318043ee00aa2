/* XOR with a repeated key of four bytes, as WebSocket's masking wants it; see masking.py.
 *
 * Limited API, no dependency. The key is repeated to a word of eight bytes once; words are
 * read and written with memcpy, which compilers make plain, unaligned, and wide moves of.
 */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define KEY_SIZE 4

static void
xor_repeated(unsigned char *restrict to, const unsigned char *restrict from, size_t size,
             const unsigned char key[KEY_SIZE])
{
    uint64_t word;
    memcpy(&word, key, KEY_SIZE);
    memcpy((unsigned char *)&word + KEY_SIZE, key, KEY_SIZE);
    size_t i = 0;
    for (; i + sizeof word <= size; i += sizeof word) {
        uint64_t data;
        memcpy(&data, from + i, sizeof data);
        data ^= word;
        memcpy(to + i, &data, sizeof data);
    }
    for (; i < size; i++) {
        to[i] = (unsigned char)(from[i] ^ key[i % KEY_SIZE]);
    }
}

static PyObject *
mask(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer data, key;
    if (!PyArg_ParseTuple(args, "y*y*:mask", &data, &key)) {
        return NULL;
    }
    PyObject *result = NULL;
    if (key.len != KEY_SIZE) {
        PyErr_SetString(PyExc_ValueError, "a masking key has four bytes");
    }
    else {
        result = PyBytes_FromStringAndSize(NULL, data.len);
    }
    if (result != NULL) {
        xor_repeated((unsigned char *)PyBytes_AsString(result), data.buf, (size_t)data.len,
                     key.buf);
    }
    PyBuffer_Release(&key);
    PyBuffer_Release(&data);
    return result;
}

static PyMethodDef methods[] = {
    {"mask", mask, METH_VARARGS, "mask(data, key, /): the data XOR the repeated key."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {0, NULL},
};

static PyModuleDef mask_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_mask",
    .m_doc = "XOR with a repeated key in C; see masking.py.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__mask(void)
{
    return PyModuleDef_Init(&mask_module);
}
