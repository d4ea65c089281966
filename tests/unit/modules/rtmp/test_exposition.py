"""What Prometheus reads: parsable, bounded, told in the documentation, and added up over workers of both sorts."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from marchproxy.modules.rtmp.crew import Counted, Seen
from marchproxy.modules.rtmp.exposition import render
from marchproxy.modules.rtmp.service import OriginReport, StreamReport
from marchproxy.modules.rtmp.tally import Tally, TallyKey
from marchproxy.modules.rtmp.totals import together

DOCUMENT = (
    (Path(__file__).parents[4] / "docs" / "metrics.md")
    .read_text()
    .partition("\n## Of an RTMP module\n")[2]
    .partition("\n## ")[0]
)
LIVE, POOLED = TallyKey("live"), TallyKey("live", "origins")


def tally(number: int = 1) -> Tally:
    found = Tally()
    for name in Tally.__slots__:
        if name not in {"refused", "closed"}:
            setattr(found, name, number)
    found.refused["denied"] = found.closed["client"] = number
    return found


def read(text: bytes) -> dict[str, dict[tuple[str, ...], float]]:
    """The samples by name without what all begin with, and by the values of their labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text.decode()):
        assert family.documentation
        for sample in family.samples:
            name = sample.name.removeprefix("marchproxy_rtmp_")
            found.setdefault(name, {})[tuple(sample.labels.values())] = sample.value
    return found


def everything() -> dict[str, dict[tuple[str, ...], float]]:
    stream = StreamReport(
        "/live/a", "live", bitrate=800.5, fps=25, gop=2, players=3, viewers=1, latency=0.001
    )
    origins = (
        OriginReport("origins", "a:1", latency=0.002, streams=1),
        OriginReport("origins", "b:1", "is down"),
    )
    return read(render(Counted({LIVE: tally(), POOLED: tally(2)}), Seen((stream,), origins)))


def test_all_that_is_told() -> None:
    found = everything()
    assert found["publishes_total"] == {("live", ""): 1, ("live", "origins"): 2}
    assert found["refused_total"][("live", "origins", "denied")] == 2
    assert found["bitrate_kbps"] == {("live", "/live/a"): 800.5}
    assert found["origin_up"] == {("origins", "a:1"): 1, ("origins", "b:1"): 0}
    counted = {name.removesuffix("_total") for name in found}
    assert counted.issuperset(Tally.__slots__)


def test_it_is_in_the_documentation() -> None:
    families = {
        name
        for line in DOCUMENT.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert families == set(everything())


def test_it_is_bounded_whatever_clients_say() -> None:
    one = tally()
    for number in range(100):
        one.closed[f"reason {number}"] = 1
    streams = tuple(StreamReport(f'/live/"{number}\\\n', "live", players=number) for number in range(1000))
    found = read(render(Counted({LIVE: one}), Seen(streams)))
    assert len(found["closed_total"]) == 41
    assert found["closed_total"][("live", "", "other")] == 61
    assert len(found["stream_players"]) == 500
    assert min(found["stream_players"].values()) == 500  # those that most people watch
    assert ("live", '/live/"999\\\n') in found["stream_players"]


def test_nothing_is_told_of_nothing() -> None:
    assert render(Counted(), Seen()) == b""


def test_workers_and_playback_are_added_up() -> None:
    watched = Tally()
    watched.forbidden = 4
    found = together({LIVE: tally()}, {LIVE: watched, POOLED: tally(3)})
    assert (found[LIVE].forbidden, found[LIVE].publishes, found[LIVE].closed) == (5, 1, {"client": 1})
    assert found[POOLED].refused == {"denied": 3}
