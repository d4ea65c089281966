from marchproxy.engines.envoy import shared_memory
from marchproxy.engines.envoy.leftovers import sweep
from marchproxy.engines.envoy.pidfile import PidRecord
from marchproxy.engines.envoy.run_directory import RunDirectory


def test_what_a_killed_envoy_leaves_is_removed(tmp_path, monkeypatch):
    memory, run_dir = tmp_path / "memory", tmp_path / "envoy"
    memory.mkdir()
    run_dir.mkdir()
    monkeypatch.setattr(shared_memory, "_FOLDER", memory)
    base_id = shared_memory.reserve("x")
    assert base_id is not None
    RunDirectory(run_dir).write_record(PidRecord(4711, 5, "print", base_id=base_id))
    (run_dir / "hot_parent_10").touch()
    (run_dir / "envoy.log").write_text("kept")
    sweep(run_dir)
    assert list(memory.iterdir()) == []
    assert [path.name for path in run_dir.iterdir()] == ["envoy.log"]
    sweep(run_dir)
    sweep(tmp_path / "missing")
