import asyncio
import os
import sys
from contextlib import suppress

import pytest

from marchproxy.engines.ffmpeg import binary
from marchproxy.engines.ffmpeg.command import ladder_command, probe_command
from marchproxy.engines.ffmpeg.encoders import WAYS
from marchproxy.engines.ffmpeg.probe import Encoders, NoEncoder
from marchproxy.engines.ffmpeg.transcoder import MOST_WAITING, Ended, Overrun, Transcoder
from marchproxy.model.rtmp import Encoder, Rung


def test_a_ladder_on_a_command_line():
    command = ladder_command("ff", WAYS[Encoder.X264], [Rung(720, 2800), Rung(360, 800)], [7, 9])
    assert " ".join(command) == (
        "ff -hide_banner -v error -nostats -copyts -f flv -i pipe:0 -filter_complex "
        "[0:v:0]split=2[in0][in1];[in0]scale=-2:'min(720,trunc(ih/2)*2)',format=yuv420p[out0];"
        "[in1]scale=-2:'min(360,trunc(ih/2)*2)',format=yuv420p[out1] "
        "-map [out0] -c:v libx264 -preset veryfast -profile:v high -sc_threshold 0 -forced-idr 1 -bf 0 "
        "-b:v 2800k -maxrate 3080k -bufsize 5600k -g 100000 -force_key_frames source -fps_mode passthrough "
        "-flush_packets 1 -flvflags no_duration_filesize -f flv pipe:7 "
        "-map [out1] -c:v libx264 -preset veryfast -profile:v high -sc_threshold 0 -forced-idr 1 -bf 0 "
        "-b:v 800k -maxrate 880k -bufsize 1600k -g 100000 -force_key_frames source -fps_mode passthrough "
        "-flush_packets 1 -flvflags no_duration_filesize -f flv pipe:9"
    )


@pytest.mark.parametrize("encoder", list(WAYS))
def test_an_encoder_is_tried_as_it_is_used(encoder):
    way = WAYS[encoder]
    tried, used = probe_command("ff", way), ladder_command("ff", way, [Rung(360, 800)], [3])
    for words in (way.device, way.options, ("-c:v", way.name)):
        assert " ".join(words) in " ".join(tried)
        assert " ".join(words) in " ".join(used)


def test_all_encoders_can_be_told():
    assert set(WAYS) | {Encoder.AUTO} == set(Encoder)


@pytest.fixture
def no_cache():
    binary.find_ffmpeg.cache_clear()
    yield
    binary.find_ffmpeg.cache_clear()


def test_the_systems_own_goes_first(no_cache, monkeypatch, tmp_path):
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert binary.find_ffmpeg() == str(tmp_path / "ffmpeg")


def test_without_any_it_is_said_what_to_do(no_cache, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(binary.NoFfmpeg, match="install it, or the Python package imageio-ffmpeg"):
        binary.find_ffmpeg()


@pytest.fixture
def fake(no_cache, monkeypatch, tmp_path):
    """An ffmpeg that encodes with nothing but libx264, and notes each attempt."""
    program = tmp_path / "ffmpeg"
    note = f"echo x >>{tmp_path}/attempts"
    program.write_text(
        f'#!/bin/sh\n{note}\ncase "$*" in *libx264*) exit 0;; esac\necho first >&2\necho no such device >&2\nexit 1\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    return tmp_path / "attempts"


async def test_the_first_encoder_that_works_is_taken_and_each_is_tried_once(fake):
    encoders = Encoders()
    assert (await encoders.choose(Encoder.AUTO)).name == "libx264"
    assert (await encoders.choose(Encoder.AUTO)).name == "libx264"
    assert fake.read_text().count("x") == len(WAYS)


async def test_one_that_is_asked_for_and_does_not_work_is_said_why(fake):
    with pytest.raises(NoEncoder, match=r"^nvenc: no such device$"):
        await Encoders().choose(Encoder.NVENC)


def shell(script):
    """A program that stands in for ffmpeg: it is told its outputs' descriptors."""
    return lambda pipes: ["/bin/sh", "-c", script, "sh", *map(str, pipes)]


async def test_bytes_go_in_and_come_out_of_each_output():
    got = {0: b"", 1: b""}
    done = asyncio.Event()

    def took(index, data):
        got[index] += data
        if got == {0: b"one\n", 1: b"two\n"}:
            done.set()

    transcoder = Transcoder(took)
    transcoder.feed(b"one\n")
    transcoder.feed(b"two\n")
    script = 'read a; read b; echo "$a" >/proc/self/fd/$1; echo "$b" >/proc/self/fd/$2; exec sleep 60'
    async with asyncio.TaskGroup() as group:
        task = group.create_task(transcoder.run(shell(script), 2))
        async with asyncio.timeout(30):
            await done.wait()
        task.cancel()


@pytest.mark.parametrize(
    ("script", "words"), [("echo broken >&2; exit 1", "broken"), ("exit 3", "exit status 3")]
)
async def test_what_it_says_at_its_end_is_kept(script, words):
    transcoder = Transcoder(lambda index, data: None)
    transcoder.feed(b"x")
    with pytest.raises(Ended, match=words):
        await transcoder.run(shell(script), 1)


async def test_one_that_takes_nothing_is_ended():
    transcoder = Transcoder(lambda index, data: None)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(expect_overrun(transcoder))
        for _ in range(5):
            transcoder.feed(bytes(MOST_WAITING // 4))
        async with asyncio.timeout(30):
            pid = await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def expect_overrun(transcoder):
    pids = []

    def took(index, data):
        pids.append(int(data))

    transcoder._took = took
    with suppress(Overrun):
        await transcoder.run(shell("echo $$ >/proc/self/fd/$1; exec sleep 60"), 1)
    return pids[0] if pids else 2**22  # ended before it could say who it is
