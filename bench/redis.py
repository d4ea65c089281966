"""bench.redis: GET through DBLB, through HAProxy in TCP mode, and directly (redis-benchmark)."""

import time
from pathlib import Path

from bench.support.against_haproxy import CLIENTS, Contest, Done, measure, output_of
from bench.support.database_servers import redis
from bench.support.dblb import Asked
from bench.support.report import Report
from bench.support.stage import run

_PER_SECOND = 12_000  # about so many are asked for each second that a run shall take


def _ask(port: int, seconds: float) -> Done:
    wanted = round(_PER_SECOND * seconds)
    started = time.monotonic()
    said = output_of(
        ["redis-benchmark", "-p", str(port), "-c", str(CLIENTS), "-n", str(wanted), "-t", "get", "--csv"]
    )
    if '"GET"' not in said:
        raise RuntimeError(f"redis-benchmark said something else:\n{said}")
    return Done(wanted, time.monotonic() - started)


def _measure(directory: Path, quick: bool) -> Report:  # noqa: FBT001 - the signature that stage.run calls
    contest = Contest("redis", "Redis, GET", redis, _ask, Asked("redis"))
    return measure(contest, directory, quick=quick)


if __name__ == "__main__":
    run("redis", __doc__ or "", _measure, needs=("haproxy", "redis-server", "redis-benchmark"))
