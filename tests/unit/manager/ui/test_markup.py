"""HTML as values: nothing that comes from outside is taken for markup."""

import pytest
from markupsafe import Markup

from marchproxy.manager.ui.components.badge import Tone, badge, tone_of
from marchproxy.manager.ui.components.difference import differences
from marchproxy.manager.ui.components.figure import sparkline
from marchproxy.manager.ui.components.icons import SHAPES
from marchproxy.manager.ui.components.markup import act_button, joined, tag
from marchproxy.manager.ui.components.shares import shares
from marchproxy.manager.ui.components.states import refusal, stale
from marchproxy.manager.ui.components.table import Column, Row, pager, table
from marchproxy.model.changes import Change
from marchproxy.model.problem import Problem

EVIL = '<script>alert("1")</script>'


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (tag("p", "a", None, 3, ["b", tag("i", "c")]), "<p>a3b<i>c</i></p>"),
        (tag("input", class_="x", data_key="k", disabled=True, hidden=False, title=None), '<input class="x" data-key="k" disabled>'),
        (tag("a", "x", href='"><b>'), '<a href="&#34;&gt;&lt;b&gt;">x</a>'),
        (joined("<", Markup("<br>")), "&lt;<br>"),
    ],
)  # fmt: skip
def test_elements(made, text):
    assert made == text


@pytest.mark.parametrize(
    "made",
    [
        tag("p", EVIL),
        badge(EVIL, title=EVIL),
        act_button(EVIL, EVIL, EVIL, lacking=EVIL),
        shares([(EVIL, 100)]),
        refusal(EVIL, [Problem(EVIL, EVIL), EVIL], remedy=EVIL),
        stale(20, lost=[EVIL]),
        table([Column(EVIL)], [Row(EVIL, [EVIL])], label=EVIL),
        differences([Change("routes", EVIL, "changed", {"id": EVIL, "a": EVIL}, {"id": EVIL}, (EVIL,))]),
        sparkline([1.0, 2.0], label=EVIL),
    ],
)
def test_what_comes_from_outside_is_text(made):
    assert "<script" not in made
    assert "script" in made


def test_every_tone_has_a_shape_of_its_own():
    assert set(SHAPES) == {tone.value for tone in Tone}
    assert len(set(SHAPES.values())) == len(SHAPES)


@pytest.mark.parametrize(
    ("word", "tone"), [("Healthy", Tone.OK), ("rolled_back", Tone.BAD), ("whatever", Tone.NONE)]
)
def test_words_have_tones(word, tone):
    assert tone_of(word) is tone
    assert word.replace("_", " ") in badge(word)


def test_a_button_that_cannot_be_pressed_says_why():
    made = act_button("Drain", "drain", "alb-1", lacking="you are viewer")
    assert 'aria-disabled="true"' in made
    assert 'title="you are viewer"' in made


@pytest.mark.parametrize(
    ("first", "shown", "total", "words"),
    [
        (0, 50, 120, ("1–50 of 120", 'href="?first=50"')),
        (100, 20, 120, ("101–120 of 120", 'href="?first=50"')),
        (500, 0, 120, ("nothing here; 120 in all", 'href="?first=450"')),
    ],
)
def test_pages(first, shown, total, words):
    made = pager(first, shown, total, address="?first=")
    assert made is not None
    assert [word for word in words if word not in made] == []


def test_what_fits_on_a_page_has_no_pager():
    assert pager(0, 50, 50, address="?first=") is None


def test_lines_break_where_nothing_was_measured():
    assert sparkline([1.0, 2.0, None, 3.0, 4.0], label="x").count("<polyline") == 2
    assert "<polyline" not in sparkline([], label="x")


@pytest.mark.parametrize(
    ("age", "lost", "words"), [(3, [], None), (3, ["nlb-2"], "No answer from nlb-2"), (75, [], "1 min")]
)
def test_old_figures_are_said_to_be(age, lost, words):
    made = stale(age, lost=lost)
    assert (made is None) == (words is None)
    assert made is None or words in made


def test_a_long_list_of_problems_ends():
    made = refusal("No", [f"fault {number}" for number in range(30)])
    assert made.count("<li>") == 20
    assert "and 10 more" in made


def test_differences_are_lines_with_signs():
    before, after = {"id": "shop", "timeout": "15s"}, {"id": "shop", "timeout": "5s"}
    made = differences([Change("routes", "shop", "changed", before, after, ("timeout",))])
    assert '<span class="gone" data-sign="−">timeout: 15s</span>' in made
    assert '<span class="new" data-sign="+">timeout: 5s</span>' in made


def test_of_many_changes_the_rest_is_counted():
    made = differences(
        [Change("routes", str(number), "added", None, {"id": str(number)}) for number in range(43)]
    )
    assert "3 more items that are not shown" in made
