"""A socket in the place of a process that has died."""

import socket
from pathlib import Path

import pytest

from marchproxy.modules.ailb.listening import listen_at
from marchproxy.modules.ailb.supervisor.standby import standing_by


def asking(path: Path) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    found.settimeout(10)
    try:
        found.connect(str(path))
    except OSError:
        found.close()
        raise
    return found


def test_questions_wait_and_are_asked_again_of_the_successor(tmp_path: Path) -> None:
    path = tmp_path / "decide.sock"
    listen_at(path).close()  # who has died
    with pytest.raises(ConnectionRefusedError):
        asking(path)
    with standing_by(path), asking(path) as early:
        early.sendall(b"question")
        with listen_at(path) as successor, asking(path) as late:
            accepted, _ = successor.accept()
            accepted.close()
            assert late.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        asking(path)


def test_who_waited_is_hung_up_on(tmp_path: Path) -> None:
    path = tmp_path / "decide.sock"
    with standing_by(path):
        early = asking(path)
    with early, pytest.raises(ConnectionResetError):
        early.recv(1)


def test_one_stands_by_at_all_of_them(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("decide.sock", "reports.sock")]
    with standing_by(*paths):
        for path in paths:
            asking(path).close()
    for path in paths:
        with pytest.raises(ConnectionRefusedError):
            asking(path)


def test_without_a_folder_nobody_waits(tmp_path: Path) -> None:
    with standing_by(tmp_path / "none" / "decide.sock"):
        assert not (tmp_path / "none").exists()
