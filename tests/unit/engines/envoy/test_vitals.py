from datetime import UTC, datetime

import pytest

from marchproxy.engines.envoy.process import EnvoyState, EnvoyStatus, LastExit, Usage
from marchproxy.engines.envoy.restart import RestartPolicy, Supervision
from marchproxy.engines.envoy.status import crash_loop_words
from marchproxy.engines.envoy.vitals import Vitals

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class ProcessDouble:
    def __init__(self, **changes: object) -> None:
        known = {"pid": 7, "state": EnvoyState.RUNNING, "restarts": 2, "adopted": False, "since": NOW}
        self._status = EnvoyStatus(**{**known, "last_exit": None, **changes})

    def status(self) -> EnvoyStatus:
        return self._status

    def usage(self) -> Usage:
        return Usage(cpu_seconds=12.5, cpu_percent=3.0, memory_bytes=1000)


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        (
            {},
            {"restarts_total 2.0", "processes 1.0", "cpu_seconds_total 12.5", "resident_memory_bytes 1000.0"},
        ),
        (
            {"epoch": 3, "hand_overs": 5},
            {"epoch 3.0", "hot_restarts_total 5.0", "trouble 0.0", "crash_loop 0.0"},
        ),
        ({"retired_pid": 6}, {"processes 2.0"}),
        ({"pid": None, "state": EnvoyState.BACKOFF}, {"processes 0.0"}),
        ({"crash_loop": True, "trouble": "x"}, {"crash_loop 1.0", "trouble 1.0"}),
    ],
)
def test_what_is_told(changes, lines):
    text = Vitals(ProcessDouble(**changes)).render().decode()
    assert {f"marchproxy_envoy_{line}" for line in lines} <= set(text.splitlines())


def test_the_words_for_a_crash_loop():
    known = Supervision(quick_deaths=4, last_exit=LastExit(code=1))
    words = crash_loop_words(known, RestartPolicy(), "no such file", "/run/envoy.log")
    assert words == (
        "crash loop: 4 times in a row Envoy died within 30 s of its start, last by exit code 1: no such file;"
        " see /run/envoy.log"
    )
