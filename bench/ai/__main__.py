"""bench.ai: an AILB against LiteLLM and an Envoy by hand: requests, streams, CPU per chunk, memory."""

import math
import time
from pathlib import Path

from bench.ai import rounds
from bench.ai.figures import figures_of, ratios_of, tables
from bench.ai.paths import every_way
from bench.support.processes import resident_mb
from bench.support.report import Report, load_note
from bench.support.stage import run

_QUICK_SECONDS = 36.0  # of a minute, the most of which LiteLLM takes to start


def _measure(directory: Path, quick: bool) -> Report:  # noqa: FBT001 - the signature that stage.run calls
    started = time.monotonic()
    with every_way(directory) as ways:
        found = rounds.measure(
            ways,
            directory,
            rounds=2 if quick else 7,
            seconds=0.6 if quick else 3.0,
            until=started + _QUICK_SECONDS if quick else math.inf,
        )
        rss = {way.name: sum(map(resident_mb, way.pids)) for way in ways}
    ratios, figures = ratios_of(found), figures_of(found, rss)
    return Report("ai", tables(figures, ratios), ratios, figures, (*found.notes, *load_note()))


if __name__ == "__main__":
    run("ai", __doc__ or "", _measure, needs=("haproxy", "wrk"))
