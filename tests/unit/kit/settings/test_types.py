import pytest
from pydantic import TypeAdapter, ValidationError

from marchproxy.kit.settings import HostPort, Seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("127.0.0.1:80", HostPort("127.0.0.1", 80)),
        ("localhost:0", HostPort("localhost", 0)),
        ("[::1]:65535", HostPort("::1", 65535)),
        ("a-b.example.:443", HostPort("a-b.example.", 443)),
    ],
)
def test_host_port_round_trip(text, value):
    assert HostPort.parse(text) == value
    assert str(value) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":80",
        "host",
        "host:",
        "host:x",
        "host:65536",
        "host:-1",
        "::1:80",
        "[::1]",
        "http://a:80",
        "a b:80",
    ],
)
def test_host_port_refuses(text):
    with pytest.raises(ValueError, match="must be"):
        HostPort.parse(text)


def test_host_port_in_a_model_is_written_back_as_text():
    adapter = TypeAdapter(HostPort)
    assert adapter.validate_python("a:1") == adapter.validate_python(HostPort("a", 1))
    assert adapter.dump_python(HostPort("::1", 1)) == "[::1]:1"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (1.5, 1.5),
        (3, 3.0),
        ("1.5", 1.5),
        ("250ms", 0.25),
        ("30s", 30.0),
        ("5m", 300.0),
        ("1h", 3600.0),
        (0, 0.0),
    ],
)
def test_seconds(given, seconds):
    assert TypeAdapter(Seconds).validate_python(given) == pytest.approx(seconds)


@pytest.mark.parametrize("given", [-1, "-1s", "1 day", "", float("nan"), float("inf"), None, [1]])
def test_seconds_refuses(given):
    with pytest.raises(ValidationError):
        TypeAdapter(Seconds).validate_python(given)
