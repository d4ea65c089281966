"""Documents that somebody damaged: each is read, or refused with reasons; nothing else ever comes out."""

import contextlib
import copy
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.contract.document import StateDocument, decode, encode, load_document
from marchproxy.kit.settings import SettingsError
from marchproxy.model.problem import InvalidValue

WHOLE = Path(__file__).with_name("whole.yaml").read_text()
TREE = yaml.safe_load(WHOLE)
# what YAML, JSON, numbers and our own notations give a special meaning
TOKENS = st.sampled_from(
    [
        *("{", "}", "[", "]", ":", ": ", "- ", "\n", "\n  ", "\t", "#", "&a ", "*a", "<<: *a", "? ", "| ", "---\n", "...\n"),
        *("!!binary ", "!!python/object:os.system ", "!!set ", "!!timestamp ", "!x ", "%YAML 1.2\n", "\x00", "\ufeff", "\u2028"),
        *("null", "~", "true", "off", "0", "-1", "1e400", "-0.0", ".nan", ".inf", "0x1f", "0o7", "1_000", "9" * 5000),
        *("1h", "-1s", "250ms", "10.0.0.0/33", "[::1]:99999", "2026-11-21", "12:30:01", '"', "'", "\\", "\udc80", "é", "😀"),
    ]
)  # fmt: skip
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["10.0.0.0/8", "shop", "1h", "*", "[::1]:80", 2**31, 2**64, -1, 10**400]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
)


@st.composite
def damaged_texts(draw):
    text = WHOLE
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        cut = draw(st.sampled_from([0, 0, 1, 3, 20, len(text)]))
        text = text[:at] + draw(TOKENS | st.text(max_size=3)) + text[at + cut :]
    return text.encode(errors="surrogatepass")


@st.composite
def damaged_trees(draw):
    tree = copy.deepcopy(TREE)
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(list(_places(tree))))
        match draw(st.sampled_from(["replace", "remove", "repeat", "rename"])):
            case "replace":
                holder[key] = draw(VALUES)
            case "remove":
                del holder[key]
            case "repeat" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case "rename" if isinstance(holder, dict):
                holder[draw(st.text(max_size=5))] = holder.pop(key)
        if not tree:
            break
    return tree


def _places(node):
    """Every (container, key) of the tree."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, inner in items:
        yield node, key
        yield from _places(inner)


def read(data):
    """The state, or None for a refusal that says why."""
    problems = ()
    try:
        return decode(data)
    except InvalidValue as refusal:
        problems = refusal.problems
    assert problems
    assert all(problem.message for problem in problems)
    return None


def test_the_whole_document_is_sound():
    assert read(WHOLE.encode()) is not None


@given(damaged_texts() | st.binary(max_size=200))
def test_any_text_is_read_or_refused(data):
    read(data)


@given(damaged_trees())
def test_any_tree_is_read_or_refused_and_what_is_read_stays_itself(tree):
    state = read(yaml.safe_dump(tree, allow_unicode=True).encode(errors="surrogatepass"))
    if state is not None:
        assert decode(encode(state)) == state
        assert encode(decode(encode(state))) == encode(state)


@given(damaged_texts())
def test_a_file_is_refused_with_lines(data):
    text = data.decode(errors="replace")
    problems = ()
    with contextlib.suppress(InvalidValue):
        decode(text.encode())
        return  # a sound one
    try:
        load_document(StateDocument, text, environ={})
    except SettingsError as refusal:
        problems = refusal.problems
    assert problems
    last = len(text.splitlines()) + 1
    assert all(problem.line is None or 1 <= problem.line <= last for problem in problems)
