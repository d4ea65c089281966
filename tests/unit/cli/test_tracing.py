import pytest
import typer

from marchproxy.cli.tracing import from_environment, traced_command
from marchproxy.kit.telemetry import trace_id
from tests.collector import Collector


def test_a_command_is_traced_where_the_environment_says_so(monkeypatch):
    with Collector() as collector:
        monkeypatch.setenv("MARCHPROXY_TRACING__ENDPOINT", collector.endpoint)
        with traced_command("change"):
            inside = trace_id()
    (item,) = collector.spans
    assert (item.name, item.service, item.trace) == ("change", "marchproxy-cli", inside)


def test_otherwise_it_is_not(monkeypatch):
    monkeypatch.delenv("MARCHPROXY_TRACING__ENDPOINT", raising=False)
    with traced_command("change"):
        assert trace_id() is None
    assert from_environment({"MARCHPROXY_NLB": "x", "MARCHPROXY_TRACING__ENDPOINT": ""}) is None


def test_a_bad_variable_is_one_clear_line(monkeypatch, capsys):
    monkeypatch.setenv("MARCHPROXY_TRACING__ENDPOINT", "otel:4317")
    with pytest.raises(typer.Exit), traced_command("change"):
        pass
    assert "$MARCHPROXY_TRACING__ENDPOINT: endpoint: must be" in capsys.readouterr().err
