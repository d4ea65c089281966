import pytest

from marchproxy.cli.managed.top.keyboard import Key, read_keys


@pytest.mark.parametrize(
    ("data", "pressed"),
    [
        (b"", []),
        (b"q", [Key.QUIT]),
        (b"\x1b[A\x1b[B\x1b[C\x1b[D", [Key.UP, Key.DOWN, Key.RIGHT, Key.LEFT]),
        (b"\x1bOA", [Key.UP]),
        (b"\x1b[5~\x1b[6~\x1b[H", [Key.PAGE_UP, Key.PAGE_DOWN, Key.HOME]),
        (b"x\x00\xffq", [Key.QUIT]),
        (b"\x1b", []),
    ],
)
def test_keys_of_a_terminal(data: bytes, pressed: list[Key]) -> None:
    assert list(read_keys(data)) == pressed
