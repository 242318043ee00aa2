"""Random patterns, to compare with what `re` says of them."""

from hypothesis import strategies as st

#: What the patterns speak of: two letters in both cases, and bytes that anchors look at.
ALPHABET = b"\n AB_ab"

_LETTERS = st.sampled_from([b"\\n", b" ", b"A", b"B", b"_", b"a", b"b"])
_SMALL_SETS = st.lists(_LETTERS, min_size=2, max_size=3).map(
    lambda members: b"[%b]" % b"".join(members)
)
_SETS = st.sampled_from(
    rb"[A-b] (?i:[A-b]) [^a] [^a-b_] (?i:a) (?i:[^B]) . (?s:.) "
    rb"\w \W \s \S \d [\D] [^\S] (?:)".split()
)
_ANCHORS = st.sampled_from(rb"^ $ \A \Z \b \B (?m:^) (?m:$)".split())
_REPEATS = st.sampled_from(b"* + ? *? +? ?? {2} {1,3} {,2} {2,} {0,2}? {0}".split())
_GROUPS = st.sampled_from([b"(%b)", b"(?:%b)", b"(?P<name>%b)", b"(?i:%b)", b"(?s-i:%b)"])


def _composed(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(b"".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: b"(?:%b)" % b"|".join(parts)),
        st.builds(lambda body, repeat: b"(?:%b)%b" % (body, repeat), inner, _REPEATS),
        st.builds(lambda group, body: group % body, _GROUPS, inner),
    )


#: Patterns whose strings are spelled in ALPHABET and no other bytes.
spelled_patterns = st.recursive(_LETTERS | _SMALL_SETS, _composed, max_leaves=8)

#: Patterns of all kinds, some of which `re` refuses: two groups may have one name.
patterns = st.recursive(_LETTERS | _SMALL_SETS | _SETS | _ANCHORS, _composed, max_leaves=8)
