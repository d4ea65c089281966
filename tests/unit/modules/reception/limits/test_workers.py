"""One table in several processes: nothing is granted twice, and what the dead held is given back."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.modules.reception.limits.bucket import Bucket
from marchproxy.modules.reception.limits.rate import ration
from marchproxy.modules.reception.limits.table import LimitTable
from marchproxy.modules.rtmp.tally import Tally

_WORKER = """
import sys
from pathlib import Path
from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.modules.reception.limits.bucket import Bucket
from marchproxy.modules.reception.limits.rate import ration
from marchproxy.modules.reception.limits.table import LimitTable
from marchproxy.modules.rtmp.tally import Tally

table, tally = LimitTable(Path(sys.argv[1])), Tally()
made = RateLimit(LimitId("l"), "*", per_hour=50, max_concurrent=5)
for line in sys.stdin:
    word, _, number = line.strip().partition(" ")
    if word == "take":
        print(sum(not Bucket(ration(made, 1), "", table, tally).take() for _ in range(int(number))), flush=True)
    elif word == "sit":
        seats = [Bucket(ration(made, 1), "", table, tally) for _ in range(int(number))]
        print(sum(seat.sit() for seat in seats), flush=True)
    elif word == "lock":
        print(int(table.lock(table.key("l", ""))), flush=True)
    elif word == "uncounted":
        print(tally.uncounted, flush=True)
"""
MADE = RateLimit(LimitId("l"), "*", per_hour=50, max_concurrent=5)


class Worker:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def say(self, words: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()

    def hear(self) -> int:
        assert self.process.stdout
        return int(self.process.stdout.readline())

    def ask(self, words: str) -> int:
        self.say(words)
        return self.hear()


@contextmanager
def workers(path: Path, number: int) -> Iterator[list[Worker]]:
    command = [sys.executable, "-c", _WORKER, str(path)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(number)
    ]
    try:
        yield [Worker(process) for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()


def test_workers_that_take_at_the_same_time_are_granted_exactly_what_there_is(tmp_path: Path):
    with workers(tmp_path / "limits", 3) as crew:
        assert [one.ask("take 0") for one in crew] == [0, 0, 0]  # all are up
        for one in crew:
            one.say("take 400")
        assert sum(one.hear() for one in crew) == 50
        assert [one.ask("uncounted") for one in crew] == [0, 0, 0]


def test_seats_of_a_killed_worker_are_given_back_and_those_of_others_are_not(tmp_path: Path):
    path = tmp_path / "limits"
    with workers(path, 2) as (first, second):
        assert (first.ask("sit 3"), second.ask("sit 3")) == (3, 2)
        table, tally = LimitTable(path), Tally()
        try:
            assert not Bucket(ration(MADE, 1), "", table, tally).sit()
            table.bury()  # both live
            assert not Bucket(ration(MADE, 1), "", table, tally).sit()
            first.process.kill()
            first.process.wait()
            table.bury()
            assert [Bucket(ration(MADE, 1), "", table, tally).sit() for _ in range(4)] == [
                True,
                True,
                True,
                False,
            ]
        finally:
            table.close()


def test_a_worker_that_dies_with_a_lock_holds_nobody_up(tmp_path: Path):
    with workers(tmp_path / "limits", 2) as (first, second):
        assert first.ask("lock") == 1
        first.process.kill()
        first.process.wait()
        assert (second.ask("take 60"), second.ask("uncounted")) == (50, 0)


def test_a_worker_that_is_stopped_with_a_lock_holds_others_up_only_for_a_moment(tmp_path: Path):
    with workers(tmp_path / "limits", 2) as (first, second):
        assert first.ask("lock") == 1
        os.kill(first.process.pid, signal.SIGSTOP)
        assert second.ask("take 100") == 100  # not limited, rather than not served
        assert second.ask("uncounted") == 100


def test_a_disk_that_is_full_is_an_error_at_the_start_and_nothing_is_left(tmp_path: Path):
    limited = (
        "import resource, sys; from pathlib import Path\n"
        "from marchproxy.modules.reception.limits.table import LimitTable\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try: LimitTable(Path(sys.argv[1]))\n"
        "except OSError as error: print(error.strerror)"
    )
    command = [sys.executable, "-c", limited, str(tmp_path / "limits")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "File too large\n"
    assert [path.name for path in tmp_path.iterdir()] == ["limits.lock"]
