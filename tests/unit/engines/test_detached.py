import os
import signal
from pathlib import Path

import pytest

from marchproxy.engines.detached import OWN_DIRECTORY, spawn_kept
from marchproxy.engines.envoy.handle import ProcessHandle, find_by_option, wait_for_keeper
from marchproxy.engines.envoy.restart import LastExit


@pytest.mark.parametrize(
    ("code", "ended"),
    [("exit 0", LastExit(code=0)), ("exit 7", LastExit(code=7)), ("kill -9 $$", LastExit(signal=9))],
)
def test_a_keeper_ends_as_its_process_did(tmp_path, code, ended):
    kept = spawn_kept(["/bin/sh", "-c", code], tmp_path / "log", tmp_path)
    assert wait_for_keeper(kept.keeper) == ended
    with pytest.raises(ChildProcessError):
        os.waitpid(kept.keeper, 0)  # reaped


async def test_a_handle_learns_from_the_keeper_how_it_ended(tmp_path):
    kept = spawn_kept(["/bin/sleep", "60"], tmp_path / "log", tmp_path)
    handle = ProcessHandle.open(kept.pid, keeper=kept.keeper)
    assert handle is not None
    try:
        assert os.getsid(kept.pid) == kept.keeper != os.getsid(0)
        assert await handle.terminate(10) == LastExit(signal=signal.SIGTERM)
    finally:
        handle.close()


def test_the_process_has_its_directory_and_the_keeper_what_it_holds_and_does_last(tmp_path):
    read, write = os.pipe()
    command = ["/bin/sh", "-c", f"echo here >{OWN_DIRECTORY}/note; echo out; ls /proc/self/fd"]
    last = ["touch", str(tmp_path / "with space")]
    kept = spawn_kept(command, tmp_path / "log", tmp_path, hold=write, afterwards=last)
    os.close(write)
    assert wait_for_keeper(kept.keeper) == LastExit(code=0)
    assert os.read(read, 1) == b""  # closed with the keeper, and not before
    os.close(read)
    assert (tmp_path / "note").read_text() == "here\n"
    assert (tmp_path / "with space").exists()
    out, *descriptors = (tmp_path / "log").read_text().split()
    assert (out, "8" in descriptors, "9" in descriptors) == ("out", False, True)


def test_the_keeper_is_not_found_by_the_options_of_its_process(tmp_path):
    kept = spawn_kept(["/bin/sleep", "60"], tmp_path / "log", tmp_path)
    try:
        assert kept.keeper not in find_by_option("/bin/sleep", "60")
    finally:
        os.kill(kept.pid, signal.SIGKILL)
        assert wait_for_keeper(kept.keeper) == LastExit(signal=9)


@pytest.mark.parametrize("content", ["", "not a program"])
def test_a_file_that_is_no_program_is_not_given_to_a_shell(tmp_path, content):
    program: Path = tmp_path / "program"
    program.write_text(content)
    program.chmod(0o755)
    with pytest.raises(OSError, match="Exec format error"):
        spawn_kept([str(program)], tmp_path / "log", tmp_path)
