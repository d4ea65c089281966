"""bench.mysql: point selects through DBLB, through HAProxy in TCP mode, and directly (sysbench, text protocol)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.support.against_haproxy import CLIENTS, Contest, Done, measure, output_of
from bench.support.database_servers import PASSWORD, mariadb
from bench.support.dblb import Asked
from bench.support.report import Report
from bench.support.stage import run


def _sysbench(port: int, *words: str) -> str:
    who = ("--mysql-user=app", f"--mysql-password={PASSWORD}", "--mysql-db=app")
    where = ("--mysql-host=127.0.0.1", f"--mysql-port={port}", *who)
    return output_of(
        [
            "sysbench",
            "oltp_point_select",
            *where,
            "--tables=1",
            "--table-size=10000",
            "--db-ps-mode=disable",
            *words,
        ]
    )


def _ask(port: int, seconds: float) -> Done:
    said = _sysbench(port, f"--threads={CLIENTS}", f"--time={max(1, round(seconds))}", "run")
    found = re.search(r"transactions:\s+(\d+)\s+\(([\d.]+) per sec", said)
    if found is None:
        raise RuntimeError(f"sysbench said something else:\n{said}")
    return Done(int(found[1]), int(found[1]) / float(found[2]))


@contextmanager
def _server(directory: Path) -> Iterator[int]:
    with mariadb(directory) as port:
        _sysbench(port, "prepare")
        yield port


def _measure(directory: Path, quick: bool) -> Report:  # noqa: FBT001 - the signature that stage.run calls
    asked = Asked("mysql", pool={"size": 2 * CLIENTS}, users={"app": PASSWORD})
    contest = Contest("mysql", "MariaDB, point selects", _server, _ask, asked)
    return measure(contest, directory, quick=quick)


if __name__ == "__main__":
    run("mysql", __doc__ or "", _measure, needs=("haproxy", "mariadbd", "sysbench"))
