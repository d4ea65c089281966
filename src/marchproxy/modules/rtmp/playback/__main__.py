"""`python -m marchproxy.modules.rtmp.playback`: a worker whose clients watch HLS and DASH; see `worker.process`.

`--streams` is where the workers that have streams answer; all other options are a worker's.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from marchproxy.modules.rtmp.playback.theatre import Theatre
from marchproxy.modules.rtmp.policy.viewing import Viewing
from marchproxy.modules.rtmp.service import StreamService, Surroundings
from marchproxy.modules.rtmp.worker.process import main as work


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="marchproxy-rtmp-playback", add_help=False)
    parser.add_argument("--streams", required=True, type=Path)
    told, others = parser.parse_known_args()

    def theatre(around: Surroundings) -> StreamService:
        return Theatre(replace(around, folder=told.streams), Viewing(around).admit)

    work(others, factory=theatre)


if __name__ == "__main__":
    main()
