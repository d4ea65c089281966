import struct

import pytest

from marchproxy.engines.envoy import shared_memory


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_memory, "_FOLDER", tmp_path)


def test_no_two_get_the_same_base_id(tmp_path):
    first, second = shared_memory.reserve("/run/a"), shared_memory.reserve("/run/a")
    assert first is not None
    assert second is not None
    assert first != second
    assert {path.name for path in tmp_path.iterdir()} == {
        f"envoy_shared_memory_{first}0",
        f"envoy_shared_memory_{second}0",
    }
    shared_memory.remove(first)
    shared_memory.remove(first)  # gone already
    assert shared_memory.reserve("/run/a") == first


@pytest.mark.parametrize("seed", [f"/run/{number}" for number in range(50)])
def test_base_ids_fit_into_the_names_of_sockets(seed):
    base_id = shared_memory.reserve(seed)
    assert base_id is not None
    assert 0 < base_id * 10 + 2 < 2**31  # Envoy's own names overflow beyond


def test_without_shared_memory_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_memory, "_FOLDER", tmp_path / "missing")
    assert shared_memory.reserve("/run/a") is None


def layout(size: int = 104, version: int = 11, flags: int = 0) -> bytes:
    return struct.pack("<QQ", size, version) + bytes(80) + struct.pack("<Q", flags)


def test_a_start_that_never_ended_is_forgotten_and_nothing_else():
    path = shared_memory.path_of(7)
    path.write_bytes(layout(flags=0b101))
    assert shared_memory.is_starting(7)
    shared_memory.forget_start(7)
    assert not shared_memory.is_starting(7)
    assert path.read_bytes() == layout(flags=0b100)


@pytest.mark.parametrize("content", [b"", bytes(104), layout(version=12), layout() + b"x", layout(size=96)])
def test_another_layout_is_left_alone(content):
    path = shared_memory.path_of(7)
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"not laid out as in version 11\.104"):
        shared_memory.forget_start(7)
    assert path.read_bytes() == content
