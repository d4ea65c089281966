import json
import logging

import pytest
import structlog

from marchproxy.kit import logs


@pytest.fixture(autouse=True)
def _as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capsys):
    out, err = capsys.readouterr()
    assert out == ""
    return [json.loads(line) for line in err.splitlines()]


def test_json_when_stderr_is_no_terminal(capsys):
    log = logs.get_logger("nlb.registry")  # before configure, as modules do
    logs.configure(level="info")
    logs.bind(service="nlb", instance_id="nlb-1")
    log.debug("not shown")
    log.info("registered", module="alb", port=80)
    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "registered",
        "module": "alb",
        "port": 80,
        "level": "info",
        "logger": "nlb.registry",
        "service": "nlb",
        "instance_id": "nlb-1",
    }


def test_standard_logging_speaks_the_same(capsys):
    logs.configure(level="info", json=True)
    logs.bind(service="alb")
    logging.getLogger("grpc._cython").warning("bind failed on %s", "x:1")
    logging.getLogger("httpx").info("HTTP Request: not shown")
    (line,) = lines(capsys)
    assert (line["event"], line["logger"], line["level"], line["service"]) == (
        "bind failed on x:1",
        "grpc._cython",
        "warning",
        "alb",
    )


@pytest.mark.parametrize("get", [logs.get_logger, logging.getLogger])
def test_tracebacks_are_one_line_in_json(capsys, get):
    logs.configure(level="error", json=True)
    try:
        raise ValueError("boom")
    except ValueError:
        get("x").exception("failed")
    (line,) = lines(capsys)
    assert "ValueError: boom" in line["exception"]


def test_text_for_people(capsys):
    logs.configure(level="debug", json=False)
    secret = "hunter2"
    try:
        raise ValueError("boom")
    except ValueError:
        logs.get_logger("x").exception("failed", size=len(secret))
    logging.getLogger("y").debug("from the library")
    err = capsys.readouterr().err
    assert "ValueError: boom" in err
    assert "from the library" in err
    assert "hunter2" not in err.replace('secret = "hunter2"', "")
    assert not err.startswith("{")


def test_unknown_level():
    with pytest.raises(ValueError, match="debug, info, warning, error"):
        logs.configure(level="loud")
