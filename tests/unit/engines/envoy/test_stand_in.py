import socket
import subprocess
from pathlib import Path

import pytest

from marchproxy.engines.envoy import stand_in
from marchproxy.engines.envoy.pidfile import PidRecord

OLD = PidRecord(4711, 5, "print", epoch=4, base_id=7)
PARENT = "hot_parent_71"  # base id times ten, and the epoch modulo three


def tell(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as successor:
        successor.connect(str(path))
        successor.send(b"end")


@pytest.mark.parametrize("mover", ["keeper", "supervisor"])
def test_what_is_said_to_the_dead_is_taken(tmp_path, mover):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as old:
        old.bind(str(tmp_path / PARENT))
    with pytest.raises(ConnectionRefusedError):
        tell(tmp_path / PARENT)
    with stand_in.bind(tmp_path, OLD) as held:
        if mover == "keeper":
            subprocess.run(stand_in.place_command(tmp_path, OLD.base_id, OLD.epoch), check=True)
        stand_in.place(tmp_path, OLD)  # done already, or now
        tell(tmp_path / PARENT)
        assert held.recv(16) == b"end"


def test_one_that_was_left_is_replaced(tmp_path):
    stand_in.bind(tmp_path, OLD).close()
    with stand_in.bind(tmp_path, OLD) as held:
        stand_in.place(tmp_path, OLD)
        tell(tmp_path / PARENT)
        assert held.recv(16) == b"end"


def test_a_long_path_is_no_obstacle(tmp_path):
    folder = tmp_path.joinpath(*["a-rather-long-name-of-a-folder"] * 5)
    folder.mkdir(parents=True)
    stand_in.bind(folder, OLD).close()
    assert [path.name for path in folder.iterdir()] == ["hot_after_71"]
