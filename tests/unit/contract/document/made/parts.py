"""What values in documents are made up of."""

from hypothesis import strategies as st

from marchproxy.model.route import (
    HeaderKind,
    HeaderMatch,
    PathKind,
    PathMatch,
    QueryMatch,
)
from marchproxy.model.weights import split

NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,5}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LABELS = st.dictionaries(TEXTS, TEXTS, max_size=2)
SECONDS = st.floats(0, 1000) | st.just(-0.0)
WAITS = st.floats(0.001, 1000)
PORTS = st.integers(0, 65535)
ADDRESSES = st.builds("{}:{}".format, NAMES.filter(lambda name: name[-1].isalnum()), st.integers(1, 65535))
PATTERNS = st.sampled_from(["/v[0-9]+/.*", r"/a\.b", "x|y"])
PATHS = st.builds(
    PathMatch, st.sampled_from([PathKind.EXACT, PathKind.PREFIX]), st.sampled_from(["/", "/a", "/é/ü"])
)
PATHS |= st.builds(PathMatch, st.just(PathKind.REGEX), PATTERNS)
PATHS |= st.builds(PathMatch, st.just(PathKind.TEMPLATE), st.sampled_from(["/{a}/*", "/é/{rest=**}"]))
PARAMETERS = st.builds(QueryMatch, NAMES, st.just(HeaderKind.EXACT), st.sampled_from(["", "a=%20"]))
PARAMETERS |= st.builds(QueryMatch, NAMES, st.just(HeaderKind.REGEX), PATTERNS)
PARAMETERS |= st.builds(QueryMatch, NAMES, st.just(HeaderKind.PRESENT))
HEADERS = st.builds(
    HeaderMatch, NAMES, st.sampled_from([HeaderKind.EXACT, HeaderKind.PREFIX]), TEXTS, st.booleans()
)
HEADERS |= st.builds(HeaderMatch, NAMES, st.just(HeaderKind.REGEX), PATTERNS, st.booleans())
HEADERS |= st.builds(HeaderMatch, NAMES, st.just(HeaderKind.PRESENT), st.just(""), st.booleans())


def distinct(values, **options):
    unique = {} if "unique_by" in options else {"unique": True}
    return st.lists(values, **unique, **options).map(tuple)


@st.composite
def shares(draw, names):
    chosen = draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    proportions = draw(st.lists(st.integers(0, 9), min_size=len(chosen), max_size=len(chosen)))
    return list(zip(chosen, split(100, proportions), strict=True))


NETWORKS = distinct(st.sampled_from(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:0:0/96"]))
