"""What is personal, or secret, and what only looks like it."""

import itertools
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.ai import PII_ENTITIES
from marchproxy.modules.ailb.guards.pii import PiiLooker

LOOKER = PiiLooker(PII_ENTITIES)
FOUND = {
    "email": [
        ("write to bob@example.com, now", ["bob@example.com"]),
        ("jürgen.müller+x@mail.example.co.uk.", ["jürgen.müller+x@mail.example.co.uk"]),
        ("<a@b.de>,mailto:c_d@e-f.org?x", ["a@b.de", "c_d@e-f.org"]),
        ("ann@münchen.de", ["ann@münchen.de"]),
        ("@0.bob@example.com", ["0.bob@example.com"]),
        ("a@b.xn--p1ai; a@b.com2, a@b.com_.", ["a@b.xn--p1ai", "a@b.com2", "a@b.com"]),
    ],
    "phone": [
        ("+49 30 1234567", ["+49 30 1234567"]),
        ("tel:+12025550143;", ["+12025550143"]),
        ("+1 202 555 0143. 0049 30 123456", ["+1 202 555 0143", "0049 30 123456"]),
        ("+44 (0)20 7946 0958", ["+44 (0)20 7946 0958"]),
        ("(212) 555-1234 or 212.555.1234, 1-800-555-0199", ["(212) 555-1234", "212.555.1234", "1-800-555-0199"]),
        ("at 5 212-555-1234", ["212-555-1234"]),
        ("11 22 33 44 55 66 77 88 9 212-555-1234 212-555-1234", ["212-555-1234", "212-555-1234"]),
        ("06 12 34 56 78", ["06 12 34 56 78"]),
        ("020 7946 0958 and 07700 900123", ["020 7946 0958", "07700 900123"]),
        ("030 12345678, 089/1234567, 0171-1234567", ["030 12345678", "089/1234567", "0171-1234567"]),
        ("mobile 015112345678", ["015112345678"]),
    ],
    "credit_card": [
        ("4111 1111 1111 1111", ["4111 1111 1111 1111"]),
        ("1234 4111 1111 1111 1111", ["4111 1111 1111 1111"]),
        ("no:4111111111111111.", ["4111111111111111"]),
        ("5555-5555-5555-4444", ["5555-5555-5555-4444"]),
        ("3782 822463 10005", ["3782 822463 10005"]),
        ("6011111111111117 3530111333300000", ["6011111111111117", "3530111333300000"]),
        ("2223003122003222", ["2223003122003222"]),
    ],
    "iban": [
        ("DE89 3704 0044 0532 0130 00 and", ["DE89 3704 0044 0532 0130 00"]),
        ("gb82west12345698765432", ["gb82west12345698765432"]),
        ("FR14 2004 1010 0505 0001 3M02 606", ["FR14 2004 1010 0505 0001 3M02 606"]),
        ("NO93-8601-1117-947", ["NO93-8601-1117-947"]),
    ],
    "us_ssn": [("ssn 123-45-6789.", ["123-45-6789"]), ("123 45 6789", ["123 45 6789"])],
    "ip_address": [
        ("from 192.168.1.10:80, 8.8.8.8", ["192.168.1.10", "8.8.8.8"]),
        ("[2001:db8::2]:80 fe80::1 2001:db8:0:0:0:0:0:1", ["2001:db8::2", "fe80::1", "2001:db8:0:0:0:0:0:1"]),
    ],
    "api_key": [
        ("sk-ant-api03-abcDEF0123456789abcdefghijk", ["sk-ant-api03-abcDEF0123456789abcdefghijk"]),
        ("key=sk-mp-" + "aB3" * 14, ["sk-mp-" + "aB3" * 14]),
        ("AKIAIOSFODNN7EXAMPLE", ["AKIAIOSFODNN7EXAMPLE"]),
        ('"ghp_' + "a1" * 18 + '"', ["ghp_" + "a1" * 18]),
        ("xoxb-123456789012-abcdef", ["xoxb-123456789012-abcdef"]),
        ("AIza" + "Sy" * 17 + "D", ["AIza" + "Sy" * 17 + "D"]),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0", ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0"]),
        ("x -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- y", ["-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"]),
    ],
}  # fmt: skip
NOTHING = [
    "@handle, a@b and user@localhost",
    "2024-01-02 10:30:00, 01.02.2024 10:30, 05/2024, 1700000000",
    "id 1234567890, order 0123456789, 3.14159265358979, 1.234.567,00 €",
    "4111 1111 1111 1112",  # Luhn
    "9999999999999995",  # nobody's
    "x4111111111111111",
    "GB82WEST12345698765431",  # mod 97
    "XX82WEST12345698765432",
    "000-12-3456, 666-12-3456, 900-12-3456, 123-00-4567, 123-45-0000",
    "127.0.0.1, 0.0.0.0, 1.2.3.4.5, 300.1.1.1, v1.2.3.4-rc",
    "std::vector, dead::beef, 12:30:45, ::1",
    "sk-learn-based-classification-pipeline, risk-assessment-of-2024-frameworks, AKIA",
    "ghp_short, hf_transformers, eyJ.eyJ.x",
]


def found(text, looker=LOOKER):
    return [(span.kind, text[span.start : span.end]) for span in looker.look(text, 0, len(text))]


@pytest.mark.parametrize(
    ("entity", "text", "places"), [(entity, *case) for entity, cases in FOUND.items() for case in cases]
)
def test_found(entity, text, places):
    assert found(text) == [(entity, place) for place in places]
    assert found(text, PiiLooker({entity})) == [(entity, place) for place in places]
    assert found(text, PiiLooker(PII_ENTITIES - {entity, "phone"})) == []


@pytest.mark.parametrize("text", NOTHING)
def test_nothing_is_found(text):
    assert found(text) == []


@pytest.mark.parametrize("text", [case[0] for cases in FOUND.values() for case in cases])
def test_looks_at_pieces_find_the_same(text):
    text = f"before. {text} after."
    for step in (1, 7):
        pieces = [
            span
            for at in range(0, len(text), step)
            for span in LOOKER.look(text, at, min(at + step, len(text)))
        ]
        whole = LOOKER.look(text, 0, len(text))
        assert [span for span in pieces if span in whole] == whole


@given(
    st.text(alphabet=string.ascii_letters + string.digits + " @.:+-()/_\n", max_size=200), st.integers(0, 200)
)
def test_spans_are_in_order_and_in_the_text(text, end):
    end = min(end, len(text))
    spans = LOOKER.look(text, 0, end)
    assert all(0 <= span.start < min(span.end, end) and span.end <= len(text) for span in spans)
    assert all(one.end <= other.start for one, other in itertools.pairwise(spans))
