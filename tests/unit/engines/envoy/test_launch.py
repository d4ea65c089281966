import os
from pathlib import Path

import pytest

from marchproxy.engines.envoy.launch import Launcher
from marchproxy.engines.envoy.pidfile import PidRecord
from marchproxy.engines.envoy.run_directory import EnvoyStartError, Role, RunDirectory
from marchproxy.engines.envoy.settings import EnvoySettings
from marchproxy.kit.settings.types import HostPort


def test_one_supervisor_per_directory(tmp_path):
    first, second = RunDirectory(tmp_path / "run"), RunDirectory(tmp_path / "run")
    first.acquire()
    with pytest.raises(EnvoyStartError, match=f"process {os.getpid()} already supervises"):
        second.acquire()
    first.release()
    second.acquire()
    assert (first.held, second.held) == (False, True)
    second.release()
    second.release()


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvoyStartError, match=r"run directory .*/file/run cannot be used: Not a directory"):
        RunDirectory(tmp_path / "file" / "run").acquire()


def test_records(tmp_path):
    directory = RunDirectory(tmp_path)
    assert directory.read_record() is None
    record = PidRecord(4711, 5, "print", HostPort("127.0.0.1", 9901))
    directory.write_record(record)
    assert directory.read_record() == record
    (tmp_path / "envoy.pid").write_text("4711")
    assert directory.read_record() is None
    assert not (tmp_path / "envoy.pid").exists()


@pytest.mark.parametrize(
    ("text", "address"), [("127.0.0.1:34567", HostPort("127.0.0.1", 34567)), ("", None), ("127.0.0.1", None)]
)
def test_the_admin_address_envoy_writes_down(tmp_path, text, address):
    directory = RunDirectory(tmp_path)
    assert directory.read_admin() is None
    directory.admin.write_text(text)
    assert directory.read_admin() == address


def test_what_dead_envoys_leave_is_removed(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.forget_all()
    for role in Role:
        directory.write_record(PidRecord(4711, 5, "print"), role)
    directory.admin.write_text("127.0.0.1:1")
    directory.next_bootstrap.write_text("{}")
    (tmp_path / "hot_udp_parent_10").touch()
    directory.forget_all()
    assert list(tmp_path.iterdir()) == []


def test_a_successor_takes_the_place_of_the_one_before_it(tmp_path):
    directory = RunDirectory(tmp_path)
    old, successor = PidRecord(4711, 5, "old"), PidRecord(4712, 6, "new", epoch=1, base_id=7)
    directory.write_record(old)
    directory.write_record(successor, Role.NEXT)
    directory.bootstrap.write_text("before")
    directory.next_bootstrap.write_text("after")
    directory.promote_next(old)
    assert [directory.read_record(role) for role in Role] == [successor, None, old]
    assert directory.bootstrap.read_text() == "after"
    directory.forget(Role.OLD)
    assert directory.read_record(Role.OLD) is None


def _settings(run_dir: Path, **changes: object) -> EnvoySettings:
    fields: dict[str, object] = {
        "node_id": "n",
        "cluster": "c",
        "admin": HostPort("127.0.0.1", 0),
        "run_dir": run_dir,
    }
    return EnvoySettings(**(fields | changes))


@pytest.mark.parametrize(
    "changes", [{"concurrency": 2}, {"extra_args": ("--log-path", "x")}, {"node_id": "m"}]
)
def test_the_fingerprint_tells_different_starts_apart(tmp_path, changes):
    same = [Launcher(_settings(tmp_path), b"{}").fingerprint() for _ in range(2)]
    assert same[0] == same[1]
    assert Launcher(_settings(tmp_path, **changes), b"{}").fingerprint() != same[0]
    assert Launcher(_settings(tmp_path), b"{ }").fingerprint() != same[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"log_level": "loud"}, "log_level 'loud': expected one of trace, debug"),
        ({"concurrency": 0}, "concurrency 0"),
        ({"drain_seconds": -1}, "drain_seconds -1"),
        ({"handover_seconds": 0}, "handover_seconds 0"),
    ],
)
def test_settings_that_make_no_sense(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        _settings(tmp_path, **changes)
