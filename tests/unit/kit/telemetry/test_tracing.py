import asyncio
import socket
import sys
import threading
import time
from subprocess import run

import pytest

from marchproxy.kit import logs
from marchproxy.kit.settings import SettingsError
from marchproxy.kit.telemetry import (
    Service,
    TracingSection,
    annotate,
    export,
    span,
    spanned,
    trace_id,
    tracing,
)
from marchproxy.kit.telemetry.recorder import QUEUE
from tests.collector import Collector

ME = Service("alb", "alb-1", "v7")


def to(endpoint, **more):
    return TracingSection(endpoint=endpoint, **more)


@spanned("count")
def count(upto):
    return list(range(upto))


@spanned("wait")
async def wait():
    await asyncio.sleep(0)
    annotate(waited=True)
    return "done"


def test_spans_are_a_tree_and_say_whose_they_are():
    with Collector() as collector:
        with tracing(to(collector.endpoint, headers={"x-key": "k"}), ME), span("reload", routes=3):
            count(2)
            assert asyncio.run(wait()) == "done"
        by_name = {item.name: item for item in collector.spans}
    reload = by_name["reload"]
    assert {item.trace for item in by_name.values()} == {reload.trace}
    assert (by_name["count"].parent, by_name["wait"].parent, reload.parent) == (reload.id, reload.id, "")
    assert (reload.tags, by_name["wait"].tags) == ({"routes": 3}, {"waited": True})
    wanted = {
        "service.name": "marchproxy-alb",
        "service.instance.id": "alb-1",
        "service.version": "v7",
    }
    assert wanted.items() <= reload.resource.items()
    assert collector.headers[0]["x-key"] == "k"


def test_own_work_is_traced_whatever_share_of_calls_is():
    with Collector() as collector, tracing(to(collector.endpoint, sample_percent=0), ME), span("reload"):
        pass
    assert [item.name for item in collector.spans] == ["reload"]


def test_what_is_raised_is_noted_and_raised():
    with (
        Collector() as collector,
        tracing(to(collector.endpoint), ME),
        pytest.raises(KeyError),
        span("compile"),
    ):
        raise KeyError("pool")
    (item,) = collector.spans
    assert item.failed


def test_nothing_happens_where_it_is_off():
    with tracing(None, ME), span("reload"):
        annotate(a=1)
        assert trace_id() is None
        assert count(2) == [0, 1]
        assert asyncio.run(wait()) == "done"


def test_off_it_is_not_even_imported():
    code = (
        "import marchproxy.kit.grpc, marchproxy.kit.telemetry, sys;"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert run([sys.executable, "-c", code], check=False).returncode == 0


def test_log_lines_carry_the_trace(capsys):
    logs.configure(level="info", json=True)
    with Collector() as collector, tracing(to(collector.endpoint), ME):
        with span("reload"):
            logs.get_logger("x").info("inside")
            inside = trace_id()
        logs.get_logger("x").info("outside")
    first, second = capsys.readouterr().err.splitlines()[:2]
    assert inside in first
    assert "trace_id" not in second


def dead(server):
    server.close()


def silent(server):
    server.listen(5)  # connections are taken, and nobody says a word


def garbage(server):
    server.listen(5)

    def talk():
        while True:
            try:
                taken, _ = server.accept()
            except OSError:
                return
            with taken:
                taken.sendall(b"HTTP/1.1 418 I am no collector\r\n\r\n" * 100)

    threading.Thread(target=talk, daemon=True).start()


class Told:
    def __init__(self):
        self.warnings = []

    def warning(self, event, **fields):
        self.warnings.append((event, fields))


@pytest.mark.parametrize("behave", [dead, silent, garbage])
def test_a_bad_collector_costs_no_time_and_bounded_memory(behave, monkeypatch):
    ends = []
    for _ in range(3):  # the quickest end counts: a busy machine is no failure
        told = Told()
        monkeypatch.setattr(export, "_log", told)
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
            behave(server)
            with tracing(to(endpoint), ME):
                for _ in range(QUEUE * 3):
                    with span("work"):
                        pass
                ending = time.monotonic()
            ends.append(time.monotonic() - ending)
        assert not [thread for thread in threading.enumerate() if "Otel" in thread.name]
        assert len(told.warnings) == 1  # once, not for each batch
        if ends[-1] < export.EXPORT_SECONDS:
            return
    raise AssertionError(ends)  # one batch alone may take so long, were it waited for


async def test_a_collector_that_comes_back_is_used_again():
    with Collector() as first:
        endpoint, port = first.endpoint, first.port
    with tracing(to(endpoint), ME):
        with span("lost"):
            pass
        with Collector(port=port) as collector:
            async with asyncio.timeout(60):
                while not collector.named("found"):
                    with span("found"):
                        await asyncio.sleep(0.05)


def test_a_file_of_authorities_must_be_there(tmp_path):
    with (
        pytest.raises(SettingsError, match=r"tracing\.ca"),
        tracing(to("https://127.0.0.1:1", ca=tmp_path / "none.pem"), ME),
    ):
        pass
