import pytest

from marchproxy.kit.settings import HostPort, SettingsError, load
from marchproxy.kit.telemetry import Service, TracingSection


def section(text: str) -> TracingSection:
    return load(TracingSection, text, environ={})


@pytest.mark.parametrize(
    ("endpoint", "place", "secure"),
    [
        ("http://otel:4317", HostPort("otel", 4317), False),
        ("https://otel.example:443/", HostPort("otel.example", 443), True),
        ("http://10.0.0.9", HostPort("10.0.0.9", 4317), False),  # the port that collectors use
        ("http://[::1]:4317", HostPort("::1", 4317), False),
        ("https://[fd00::1]", HostPort("fd00::1", 4317), True),
    ],
)
def test_endpoint(endpoint, place, secure):
    read = section(f'endpoint: "{endpoint}"')
    assert (read.collector, read.secure) == (place, secure)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "endpoint: required"),
        ("endpoint: otel:4317", 'must be "http://host:port"'),
        ("endpoint: grpc://otel:4317", 'must be "http://host:port"'),
        ("endpoint: http://otel:4317/v1/traces", 'must be "http://host:port"'),
        ("endpoint: http://otel:99999", 'must be "http://host:port"'),
        ("{endpoint: http://otel, sample_percent: 101}", "less than or equal to 100, not 101"),
        ("{endpoint: http://otel, headers: {X-Key: a}}", "headers.X-Key"),
        ('{endpoint: http://otel, headers: {key: "a\\nb"}}', "headers.key"),
        ("{endpoint: http://otel, sample: 1}", 'did you mean "sample_percent"'),
    ],
)
def test_what_is_wrong_is_named(text, words):
    with pytest.raises(SettingsError, match=words.replace("[", r"\[")):
        section(text)


def test_headers_are_not_shown():
    assert "secret" not in repr(section("{endpoint: http://otel, headers: {x-key: secret}}"))


def test_each_kind_of_process_has_a_name():
    read = section("{endpoint: http://otel, service_name: edge}")
    assert Service("alb", "alb-1").name(read) == "edge-alb"
