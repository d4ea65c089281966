import random
from fnmatch import fnmatchcase
from itertools import product

import pytest

from marchproxy.model.glob import any_globs_meet, globs_meet, is_glob, is_meant

NAMES = ["".join(letters) for length in range(6) for letters in product("ab[", repeat=length)]


@pytest.mark.parametrize(
    ("first", "second", "meet"),
    [
        ("shop", "shop", True),
        ("shop", "Shop", False),
        ("shop", "sh*", True),
        ("shop", "shop_*", False),
        ("shop_*", "*_eu", True),
        ("shop_*", "crm_*", False),
        ("*a", "*b", False),
        ("a*c", "ab?", True),
        ("a?", "a??", False),
        ("[ab]x", "bx", True),
        ("[ab]x", "c*", False),
        ("[!a]", "a", False),
        ("[!a]?", "[a]b", True),  # two sets of characters are not compared
        ("", "*", True),
        ("", "?", False),
        ("[", "[*", True),  # a bracket that nothing closes is itself
    ],
)
def test_whether_two_patterns_have_a_name_in_common(first, second, meet):
    assert globs_meet(first, second) == meet
    assert globs_meet(second, first) == meet


def test_no_name_that_both_match_is_overlooked():
    chance = random.Random(7)
    pieces = ["a", "b", "*", "?", "[", "[ab]", "[!a]"]
    for _ in range(1000):
        one, other = ("".join(chance.choices(pieces, k=chance.randrange(5))) for _ in range(2))
        both = any(fnmatchcase(name, one) and fnmatchcase(name, other) for name in NAMES)
        assert globs_meet(one, other) or not both, (one, other)


def test_an_empty_list_is_everything():
    assert any_globs_meet((), ("a",))
    assert any_globs_meet(("b", "a*"), ("c", "ab"))
    assert not any_globs_meet(("b",), ("c", "a*"))


@pytest.mark.parametrize("patterns", [("a",), ("a", "b*"), ("[ab]", "?b"), ("[ab]",), ("b[",), ("*",)])
def test_names_are_matched_as_a_shell_does(patterns):
    for name in [*NAMES, "[ab]", "b[", "a\nb", ""]:
        assert is_meant(name, patterns) == any(fnmatchcase(name, one) for one in patterns), name
    assert is_meant("x", ())


def test_a_plain_name_is_no_pattern():
    assert [is_glob(text) for text in ("shop_1", "a*", "a?", "[a]")] == [False, True, True, True]
