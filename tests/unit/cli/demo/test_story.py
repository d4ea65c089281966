from array import array

import yaml
from rich.console import Console

from marchproxy.cli.demo import story
from marchproxy.cli.demo.chapters import Chapter
from marchproxy.cli.demo.claims import Claim
from marchproxy.cli.demo.config import make_config
from marchproxy.cli.demo.load import LoadResult
from marchproxy.cli.file import load_file

LOAD = LoadResult(2.0, {200: 100}, {"v1": 95, "v2": 5}, {}, array("d", [1.0] * 100))
GOOD = Chapter("Good", "told", (Claim("it holds", holds=True, measured="5 %"),), LOAD, shows_split=True)
BAD = Chapter("Bad", "told", (Claim("it breaks", holds=False, measured="7"),))


def told(chapters: list[Chapter]) -> tuple[str, bool]:
    console = Console(width=150, highlight=False)
    with console.capture() as capture:
        for number, chapter in enumerate(chapters, start=1):
            story.tell(console, number, chapter)
        held = story.tell_summary(console, chapters, 12.0)
    return capture.get(), held


def test_figures_bars_and_claims_are_told():
    text, held = told([GOOD])
    assert held
    for words in (
        "50 requests/s",
        "p99 1.00 ms",
        "█" * 38 + "░" * 2 + "  95.0 %",
        "✓ it holds: 5 %",
        "all 1 claims held",
    ):
        assert words in text


def test_a_broken_claim_is_named_at_the_end():
    text, held = told([GOOD, BAD])
    assert not held
    assert "1 of 2 claims did not hold: it breaks" in text


def test_the_story_for_programs():
    data = story.as_data([GOOD, BAD], 12.0)
    assert data["ok"] is False
    assert data["chapters"][0]["load"]["percent"] == {"v1": 95.0, "v2": 5.0}
    assert story.as_data([GOOD], 1.0)["ok"] is True
    assert story.as_data([], 1.0)["ok"] is False  # nothing was shown


def test_the_demos_own_file_is_sound(tmp_path):
    config = make_config()
    file = tmp_path / "demo.yaml"
    file.write_text(config.text)
    loaded = load_file(file, {})
    assert loaded.warnings == ()
    assert len({spec.port for spec in config.backends}) == 4
    assert yaml.safe_load(config.text)["listeners"][0]["address"] == str(config.web)
