import json
import os
from pathlib import Path

import pytest

from marchproxy.cli.up import log
from marchproxy.cli.up.log import PartLog, Remark, read_line


@pytest.mark.parametrize(
    ("line", "remark"),
    [
        ('{"level": "info", "event": "fine"}', None),
        ("", None),
        ('{"level": "warning", "event": "slow", "service": "nlb"}', Remark("warning", "slow")),
        ('{"level": "error", "event": "died", "pid": 7}', Remark("error", "died (pid: 7)")),
        (
            json.dumps(
                {"level": "error", "event": "failed", "exception": "Traceback\n  File x\nOSError: no"}
            ),
            Remark("error", "failed: OSError: no"),
        ),
        ("nlb.grpc: in use", Remark("error", "nlb.grpc: in use", plain=True)),
        ("[1, 2]", None),
        ("I1121 04:56:14.985016   27533 fork_posix.cc:71] Other threads are calling", None),
        (
            "E1121 04:56:14.985016 1 x.cc:1] bad",
            Remark("error", "E1121 04:56:14.985016 1 x.cc:1] bad", plain=True),
        ),
    ],
)
def test_what_a_line_says(line, remark):
    assert read_line(line) == remark


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_only_what_the_new_process_wrote_is_news(tmp_path):
    path = tmp_path / "a.log"
    append(path, "of an older process\n")
    part = PartLog(path)
    os.close(part.begin())
    append(path, "first\nsec")
    assert [remark.text for remark in part.news()] == ["first"]
    append(path, "ond\n")
    assert [remark.text for remark in part.news()] == ["second"]
    assert part.plain == ["first", "second"]


def test_a_log_that_grows_too_large_is_put_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "_LARGEST", 10)
    path = tmp_path / "a.log"
    part = PartLog(path)
    descriptor = part.begin()
    os.write(descriptor, b"a line that is long\n")
    assert len(part.news()) == 1
    os.write(descriptor, b"after\n")  # the process goes on with the same descriptor
    os.close(descriptor)
    assert [remark.text for remark in part.news()] == ["after"]
    assert path.read_bytes() == b"after\n"
    assert (tmp_path / "a.log.1").read_bytes() == b"a line that is long\n"
