"""The frame of pages: who leads where, and what failures are told as."""

import re

import pytest

from marchproxy.manager.access import Denied
from marchproxy.manager.operating import NotDone
from marchproxy.manager.revising import Busy, PartOutcome, PartsRefused
from marchproxy.manager.ui.doors import local_address
from marchproxy.manager.ui.failing import FAILURES, told
from marchproxy.manager.ui.looks import FOLDER, HEAD, PLACE, SCRIPT, SHEETS
from marchproxy.manager.ui.navigation import navigation, places
from marchproxy.manager.ui.pages import PAGES
from marchproxy.model.problem import InvalidValue, Problem


@pytest.mark.parametrize(
    ("to", "place"),
    [
        ("/routes?q=a b", "/routes?q=a b"),
        ("", "/"),
        ("routes", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/\t/evil.example", "/"),
    ],
)
def test_after_signing_in_one_stays_here(to, place):
    assert local_address(to) == place


def test_letters_are_told_apart_and_the_script_knows_them():
    letters = {place.letter: place.href for place in places()}
    assert len(letters) == len(list(places()))
    written = re.search(r"const places = \{(.*?)\};", (FOLDER / SCRIPT).read_text(), re.DOTALL)
    assert written is not None
    assert dict(re.findall(r'(\w): "([^"]+)"', written[1])) == letters


def test_every_place_is_a_page_and_every_page_has_a_place():
    addresses = {page.address for page in PAGES}
    assert {place.href for place in places()} <= addresses
    assert {page.here for page in PAGES} - {""} == {place.href for place in places()}
    assert len(addresses) == len(PAGES)


def test_one_sees_where_one_is():
    made = navigation("/routes", {"routes": 1000})
    assert made.count('aria-current="page"') == 1
    assert '<span class="count">1,000</span>' in made


def test_everything_comes_from_here_under_a_name_that_changes_with_it():
    assert re.fullmatch(r"/static/[0-9a-f]{12}", PLACE)
    assert all(f"{PLACE}/{name}" in HEAD for name in (*SHEETS, SCRIPT))
    texts = [(FOLDER / name).read_text() for name in (*SHEETS, SCRIPT)]
    assert not any(re.search(r"https?://", text) for text in texts)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InvalidValue([Problem("routes[0].path", "is odd")]), ["<code>routes[0].path</code>is odd", "Nothing was changed."]),
        (PartsRefused([PartOutcome("nlb-1", "nlb", True, (Problem("listeners[0]", "port taken"),))]),
         ["Refused by nlb-1", "port taken", "Every part runs what it ran before."]),
        (Busy("too much is under way"), ["too much is under way"]),
        (NotDone("alb-1 is not there", found=False), ["alb-1 is not there"]),
        (Denied("this takes the role admin"), ["this takes the role admin"]),
        (TimeoutError(), ["No answer in time", "The list of revisions tells"]),
    ],
)  # fmt: skip
def test_failures_are_told_with_what_to_do(error, words):
    assert isinstance(error, FAILURES)
    made = told(error)
    assert [word for word in words if word not in made] == []
    assert 'role="alert"' in made
