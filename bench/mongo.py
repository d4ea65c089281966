"""bench.mongo: finds through DBLB, through HAProxy in TCP mode, and directly; the server answers without looking."""

from pathlib import Path

from bench.support.against_haproxy import CLIENTS, Contest, Done, measure, output_of
from bench.support.database_servers import mongo
from bench.support.dblb import Asked
from bench.support.processes import python
from bench.support.report import Report
from bench.support.stage import run


def _ask(port: int, seconds: float) -> Done:
    said = output_of(python("bench.support.mongo_words", "ask", str(port), str(CLIENTS), str(seconds)))
    answers, took = said.split()
    return Done(int(answers), float(took))


def _measure(directory: Path, quick: bool) -> Report:  # noqa: FBT001 - the signature that stage.run calls
    contest = Contest("mongo", "MongoDB, find of one document", mongo, _ask, Asked("mongodb"))
    return measure(contest, directory, quick=quick)


if __name__ == "__main__":
    run("mongo", __doc__ or "", _measure, needs=("haproxy",))
