import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.engines.envoy.operators import fault


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "100%%",
        "%RESPONSE_CODE%",
        "%REQ(USER-AGENT)%",
        "%REQ(X-A?X-B):40%",
        "%START_TIME(%s.%3f)%",
        "%REQ(:METHOD)% %PATH(NQ)% at 100%%",
    ],
)
def test_sound(text):
    assert fault(text) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("%RESPONS_CODE%", 'unknown operator %RESPONS_CODE%; did you mean "RESPONSE_CODE"?'),
        ("%response_code%", 'did you mean "RESPONSE_CODE"?'),
        ("%REQ%", "%REQ% must say of what"),
        ("100% sure", "begins no operator"),
        ("%REQ(A)% and %", "begins no operator"),
        ("%REQ(A%", "begins no operator"),
    ],
)
def test_faults_are_named(text, words):
    assert words in fault(text)


@given(st.text(alphabet="%ABREQ_():-9 ", max_size=60))
def test_any_text_is_judged(text):
    assert fault(text.replace("%", "%%")) is None
    assert fault(text) is None or "%" in text
