"""What is wrong with the item that is being edited, with its lines."""

import pytest

from marchproxy.contract.document import decode
from marchproxy.manager.ui.editing.faults import faults_of, read_draft, with_item
from marchproxy.manager.ui.editing.hints import BEGINNINGS, HINTS
from marchproxy.manager.ui.editing.showing import fault_list
from marchproxy.model.changes import SECTIONS
from marchproxy.model.problem import Problem

ROUTE = "id: shop\npath: /\nbackends:\n  - pool: a\n    weight: 90\n  - pool: b\n    weight: 10\n"


@pytest.mark.parametrize(
    ("text", "key", "line", "words"),
    [
        ("id: [}", None, 1, ""),
        ("id: a\nid: b\n", None, 2, "id"),
        ("- id: a", None, 1, "write one item"),
        ("", None, 1, "every item of routes has id"),
        ("path: /", None, 1, "every item of routes has id"),
        ("path: /\nid: other", "shop", 2, "the name cannot change"),
        ("id: 7", None, 1, "a text"),
    ],
)
def test_texts_that_are_no_item(text, key, line, words):
    draft = read_draft(text, "routes", key)
    assert draft.item is None
    assert draft.faults[0].line == line
    assert words in f"{draft.faults[0].path} {draft.faults[0].message}"


def test_problems_stand_at_their_lines_and_own_ones_first():
    draft = read_draft(ROUTE, "routes", "shop")
    problems = [
        Problem("pools[0].endpoints", "are empty"),
        Problem("routes[1].backends[1].weight", "too little"),
        Problem("routes[1].path", "is odd"),
        Problem("routes[10].path", "is another's"),
    ]
    found = faults_of(problems, "routes", 1, draft)
    assert [(one.line, one.path, one.elsewhere) for one in found] == [
        (2, "path", False),
        (7, "backends[1].weight", False),
        (None, "pools[0].endpoints", True),
        (None, "routes[10].path", True),
    ]


def test_an_item_takes_the_place_of_the_one_of_its_name():
    document = {"routes": [{"id": "a"}, {"id": "b"}], "pools": [{"name": "p"}]}
    changed, place = with_item(document, "routes", {"id": "b", "path": "/x"})
    assert (changed["routes"], place) == ([{"id": "a"}, {"id": "b", "path": "/x"}], 1)
    added, place = with_item(document, "routes", {"id": "c"})
    assert (len(added["routes"]), place) == (3, 2)
    assert document["routes"] == [{"id": "a"}, {"id": "b"}]
    assert with_item({}, "pools", {"name": "q"}) == ({"pools": [{"name": "q"}]}, 0)


def test_faults_are_listed_with_their_places():
    draft = read_draft(ROUTE, "routes", "shop")
    made = fault_list(faults_of([Problem("routes[0].path", "<odd>")], "routes", 0, draft))
    assert "<code>line 2 · path</code>&lt;odd&gt;" in made
    assert fault_list(()) == ""


def test_every_section_that_pages_edit_has_a_beginning_and_hints():
    assert set(BEGINNINGS) == set(HINTS) <= set(SECTIONS)
    for section, text in BEGINNINGS.items():
        assert (
            read_draft(text.replace("name: \n", "name: x\n").replace("id: \n", "id: x\n"), section, None).item
            is not None
        )


@pytest.mark.parametrize("section", ["pools", "listeners", "rate_limits", "scaling"])
def test_beginnings_are_sound_once_they_have_a_name(section):
    text = BEGINNINGS[section].replace("name: \n", "name: x\n").replace("id: \n", "id: x\n")
    lines = "".join(f"  {line}\n" for line in text.splitlines())
    assert decode(f"{section}:\n- {lines.removeprefix('  ')}".encode())
