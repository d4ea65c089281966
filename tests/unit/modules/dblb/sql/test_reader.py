"""The cache of facts: its bounds, what it shares, and that nothing makes it raise."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marchproxy.modules.dblb.sql import Dialect, Reader, ReaderLimits, Syntax

DIALECTS = list(Dialect)
WORDS = (
    "select insert into delete from where or and 1=1 t ; ' \" ` $$ $a$ E' U&' \\ /* */ /*! /*!50000 /*M!100100 -- # ( ) , * "
    "@a @@b 0x41 ? $1 set = begin with as values f( null not in like update for lock"
)
PIECES = st.sampled_from(WORDS.split())
TEXTS = st.one_of(st.lists(PIECES, max_size=30).map(" ".join), st.text(max_size=60)).map(
    lambda text: text.encode("utf-8", "surrogatepass")
)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_text_is_read_once_and_so_is_a_shape(dialect: Dialect) -> None:
    reader = Reader(Syntax(dialect))
    first = reader.facts(b"select a from t where b = 1")
    assert reader.facts(b"select a from t where b = 1") is first
    assert reader.facts(b"select a from t where b = 'x'") is first
    assert reader.parsed == 1


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"select 1 from secret12", b"select 1 from secret13"),  # one fingerprint to pg_query
        (b"select a from t where 1 = 2", b"select a from t where 1 = 1"),
        (b"select a from t where b = 1 or 1 = 0", b"select a from t where b = 1 or 1 = 1"),
        (b"select 1", b"select 1 /* marchproxy: primary */"),
    ],
)
def test_what_constants_decide_is_not_shared(dialect: Dialect, one: bytes, other: bytes) -> None:
    reader = Reader(Syntax(dialect))
    assert reader.facts(one) != reader.facts(other)


@pytest.mark.parametrize(
    ("dialect", "prepared"),
    [(Dialect.POSTGRES, b"select a from t where $1=$2"), (Dialect.MYSQL, b"select a from t where ?=?")],
)
def test_parameters_are_not_constants(dialect: Dialect, prepared: bytes) -> None:
    reader = Reader(Syntax(dialect))
    assert not reader.facts(prepared).tautology
    assert reader.facts(b"select a from t where 1=1").tautology


@pytest.mark.parametrize("dialect", DIALECTS)
def test_it_is_bounded(dialect: Dialect) -> None:
    limits = ReaderLimits(most_entries=20, most_bytes=100_000, longest_parsed=500, longest_scanned=600)
    reader = Reader(Syntax(dialect), limits)
    for number in range(200):
        reader.facts(b"select a%d from t" % number + b" " * number)
        assert len(reader) <= 20
        assert reader.used <= 100_000
    assert "longer" in reader.facts(b"select 1" + b" " * 500).problem
    assert reader.facts(b"select 1" + b" " * 500).words == {"select"}
    assert reader.facts(b"select 1" + b" " * 600).words == frozenset()
    assert len(reader) <= 20


def test_what_is_not_understood_counts_by_its_words() -> None:
    reader = Reader(Syntax(Dialect.POSTGRES))
    facts = reader.facts(" ".join(f"w{number}" for number in range(1000)).encode())
    assert len(facts.words) == 1000
    assert reader.used > 100_000


def test_what_was_used_last_stays() -> None:
    reader = Reader(Syntax(Dialect.POSTGRES), ReaderLimits(most_entries=2))
    kept = reader.facts(b"select 1 from a")
    reader.facts(b"select 1 from b")
    reader.facts(b"select 1 from a")
    reader.facts(b"select 1 from c")
    assert reader.facts(b"select 1 from a") is kept


@settings(max_examples=300, deadline=None)
@given(text=TEXTS, dialect=st.sampled_from(DIALECTS), ansi=st.booleans())
def test_nothing_makes_it_raise(text: bytes, dialect: Dialect, *, ansi: bool) -> None:
    reader = Reader(Syntax(dialect, ansi_quotes=ansi), ReaderLimits(most_bytes=100_000))
    facts = reader.facts(text)
    assert reader.used <= 100_000
    assert reader.facts(text) == facts
    assert facts.problem or facts.kinds or facts.statements == 0


CONDITION_WORDS = (
    "a=1|a='x'|1=1|1=2|'x'='x'|true|false|null|1|0|not 1|$1=$2|?=?|$1=1|a in (1,2)|a in (3)|1 in (1)|a=a|-1=-1|a=-1|a is null|"
    "a like 'x'|'x' like 'x'|f('x')=1|f(1)=1|set_config('a','b',false)=1|set_config('a','c',true)=1|@a=1|t1=1|t2=1"
)
CONDITIONS = st.sampled_from(CONDITION_WORDS.split("|"))


@settings(max_examples=300, deadline=None)
@given(
    wheres=st.lists(st.lists(CONDITIONS, min_size=1, max_size=3), min_size=2, max_size=6),
    joint=st.sampled_from([" and ", " or "]),
    verb=st.sampled_from(["select a from t", "delete from t"]),
    dialect=st.sampled_from(DIALECTS),
)
def test_what_is_shared_is_what_would_be_read(
    wheres: list[list[str]], joint: str, verb: str, dialect: Dialect
) -> None:
    shared = Reader(Syntax(dialect))
    for where in wheres:
        text = f"{verb} where {joint.join(where)}".encode()
        assert shared.facts(text) == Reader(Syntax(dialect)).facts(text)
