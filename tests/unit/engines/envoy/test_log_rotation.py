import fcntl

import pytest

from marchproxy.engines.envoy.admin import AdminUnreachable
from marchproxy.engines.envoy.log_rotation import RotatedLog, RotationLimits, aside, make


class Envoy:
    """Writes where it opened last, as the real one does."""

    def __init__(self, path):
        self.path, self.opened, self.reachable = path, 0, True
        make(path)
        self.file = path.open("ab", buffering=0)

    async def reopen(self):
        if not self.reachable:
            raise AdminUnreachable("not now")
        assert self.path.exists()
        self.opened += 1
        self.file.close()
        self.file = self.path.open("ab", buffering=0)

    def write(self, text):
        self.file.write(text.encode())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs" / "access.log"


@pytest.fixture
def envoy(path):
    envoy = Envoy(path)
    yield envoy
    envoy.file.close()


def rotated(envoy, largest=10, keep=2):
    return RotatedLog(envoy.path, RotationLimits(largest, keep), envoy.reopen)


async def test_the_first_look_has_it_opened_in_any_case(envoy):
    log = rotated(envoy)  # a process before us may have renamed the file and died
    await log.look()
    await log.look()
    assert envoy.opened == 1


async def test_a_large_file_is_put_aside_and_no_line_lost(envoy, path):
    log = rotated(envoy)
    await log.look()
    for number in range(3):
        envoy.write(f"line {number}, long\n")
        await log.look()
    assert path.read_text() == ""
    assert aside(path, 1).read_text() == "line 2, long\n"
    assert aside(path, 2).read_text() == "line 1, long\n"
    assert not aside(path, 3).exists()  # the oldest made room, as it was told to


async def test_lines_before_envoy_has_opened_it_anew_are_kept(envoy, path):
    log = rotated(envoy)
    await log.look()
    envoy.write("more than ten bytes\n")
    envoy.reachable = False
    await log.look()
    envoy.write("late\n")
    envoy.reachable = True
    await log.look()
    envoy.write("new\n")
    assert (aside(path, 1).read_text(), path.read_text()) == ("more than ten bytes\nlate\n", "new\n")


@pytest.mark.parametrize("what", ["file", "folder"])
async def test_what_is_deleted_is_made_again(envoy, path, what):
    log = rotated(envoy)
    await log.look()
    path.unlink()
    if what == "folder":
        path.parent.rmdir()
    await log.look()
    envoy.write("new\n")
    assert path.read_text() == "new\n"


async def test_a_limit_of_zero_puts_nothing_aside(envoy, path):
    log = rotated(envoy, largest=0)
    envoy.write("x" * 1000)
    await log.look()
    assert not aside(path, 1).exists()


async def test_a_file_that_cannot_be_made_leaves_envoy_where_it_writes(envoy, path, tmp_path):
    log = rotated(envoy)
    await log.look()
    path.unlink()
    path.parent.rmdir()
    (tmp_path / "logs").write_text("in the way")
    await log.look()
    assert envoy.opened == 1
    (tmp_path / "logs").unlink()
    await log.look()
    assert envoy.opened == 2


async def test_somebody_elses_rotation_is_followed(envoy, path):
    log = rotated(envoy, largest=0)
    await log.look()
    path.rename(path.with_name("theirs"))
    make(path)
    await log.look()
    envoy.write("new\n")
    assert path.read_text() == "new\n"


async def test_of_two_that_write_to_one_file_one_puts_it_aside(envoy, path):
    log = rotated(envoy)
    await log.look()
    envoy.write("more than ten bytes\n")
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        await log.look()
        assert not aside(path, 1).exists()
    await log.look()
    assert aside(path, 1).read_text() == "more than ten bytes\n"
