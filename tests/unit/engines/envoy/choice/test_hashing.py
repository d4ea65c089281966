"""xxHash64 against values of the reference implementation; tests/real/test_alb_choices.py asks Envoy itself."""

import pytest

from marchproxy.engines.envoy.choice import xxh64

SENTENCE = b"Nobody inspects the spammish repetition"


@pytest.mark.parametrize(
    ("data", "seed", "value"),
    [
        (b"", 0, 0xEF46DB3751D8E999),
        (b"a", 0, 0xD24EC4F1A98C6E5B),
        (b"abc", 0, 0x44BC2CF5AD770999),
        (b"xxhash", 0, 3665147885093898016),
        (b"xxhash", 20141025, 13067679811253438005),
        (SENTENCE, 0, 0xFBCEA83C8A378BF1),
    ],
)
def test_the_reference_values(data: bytes, seed: int, value: int) -> None:
    assert xxh64(data, seed) == value
