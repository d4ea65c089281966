"""Keyboard: single keys of a terminal, as they are pressed."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

_MOST_WAITING = 32
_READ = 64


class Key(Enum):
    """What can be pressed."""

    QUIT = "quit"
    UP = "up"
    DOWN = "down"
    LEFT = "left"
    RIGHT = "right"
    PAGE_UP = "page up"
    PAGE_DOWN = "page down"
    HOME = "home"


_KEYS = {
    b"q": Key.QUIT,
    b"Q": Key.QUIT,
    b"\x1b[A": Key.UP,
    b"\x1b[B": Key.DOWN,
    b"\x1b[D": Key.LEFT,
    b"\x1b[C": Key.RIGHT,
    b"\x1bOA": Key.UP,
    b"\x1bOB": Key.DOWN,
    b"\x1bOD": Key.LEFT,
    b"\x1bOC": Key.RIGHT,
    b"\x1b[5~": Key.PAGE_UP,
    b"\x1b[6~": Key.PAGE_DOWN,
    b"\x1b[H": Key.HOME,
    b"k": Key.UP,
    b"j": Key.DOWN,
    b"h": Key.LEFT,
    b"l": Key.RIGHT,
    b"\t": Key.RIGHT,
}
_LONGEST_FIRST = sorted(_KEYS, key=len, reverse=True)


def read_keys(data: bytes) -> Iterator[Key]:
    """The keys in what a terminal sent; anything else in it is passed over."""
    while data:
        found = next((one for one in _LONGEST_FIRST if data.startswith(one)), None)
        if found is not None:
            yield _KEYS[found]
        data = data[len(found or b"x") :]


@contextmanager
def keys() -> Iterator["asyncio.Queue[Key]"]:
    """The keys that are pressed within the block, without Enter and without an echo. stdin must be a terminal."""
    descriptor = sys.stdin.fileno()
    pressed: asyncio.Queue[Key] = asyncio.Queue(_MOST_WAITING)
    loop = asyncio.get_running_loop()

    def read() -> None:
        data = os.read(descriptor, _READ)
        if not data:  # the terminal is gone
            loop.remove_reader(descriptor)
            data = b"q"
        for key in read_keys(data):
            if not pressed.full():
                pressed.put_nowait(key)

    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, read)
    try:
        yield pressed
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
