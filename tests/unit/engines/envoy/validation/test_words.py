"""What Envoy says, cut down."""

import pytest

from marchproxy.engines.envoy.validation import fields, reason, tokens

START = "[2026-11-21 09:39:31.552][31168][critical][main] [source/server/config_validation/server.cc:76] "
CONSTRAINT = (
    "http_filters {\n  name: 'x'\n}\n: Proto constraint validation failed (HttpConnectionManagerValidationError.RouteConfig:"
    " embedded message failed validation | caused by RouteConfigurationValidationError.VirtualHosts[0]: embedded message"
    " failed validation | caused by HeaderValueValidationError.Key: value does not match regex pattern \"^[^\\x00]*$\")\n"
)  # fmt: skip


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (f"{START}error initializing configuration '/tmp/a.pb': invalid perl operator: (?=\n", "invalid perl operator: (?="),
        (CONSTRAINT, 'HeaderValueValidationError.Key: value does not match regex pattern "^[^\\x00]*$"'),
        ("no argument for repetition operator: *", "no argument for repetition operator: *"),
        ("x" * 5_000, "x" * 1_000 + "…"),
        ("", ""),
    ],
)  # fmt: skip
def test_reason(output: str, words: str) -> None:
    assert reason(output) == words
    assert reason(words) == words or len(words) > 1_000


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("invalid perl operator: (?=", ("(?=",)),
        ("regex '/[a-z]{1,64}' RE2 program size of 260 > max program size of 100", ("/[a-z]{1,64}",)),
        ("missing ): /(r702", ("/(r702",)),
        ("no argument for repetition operator: *", ()),  # one sign says nothing
        ("", ()),
    ],
)
def test_tokens(message: str, expected: tuple[str, ...]) -> None:
    assert tokens(message) == expected


def test_fields() -> None:
    assert fields(CONSTRAINT) == ("RouteConfig", "VirtualHosts", "Key")
    assert fields("invalid perl operator: (?=") == ()
