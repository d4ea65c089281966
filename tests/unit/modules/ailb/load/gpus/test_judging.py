"""Which GPUs are fit, look by look, and which endpoints suffer when one is not."""

from dataclasses import replace

import pytest

from marchproxy.modules.ailb.load.gpus import Device, Gpus, Listener, Look, judge

OWN = frozenset({"10.0.0.5", "fd00::5"})
ENGINE = Listener("0.0.0.0", 8000, 100, 50.0)
SECOND = Listener("10.0.0.5", 8001, 200, 50.0)
FINE = Device("GPU-a", 0, temperature=60.0, slows_at=90.0, processes=frozenset({101}))
OTHER = Device("GPU-b", 1, processes=frozenset({201}))
SERVING = {101: (ENGINE,), 201: (SECOND,)}
LOST = Device("GPU-a", 0, is_lost=True)
ADDRESSES = ("10.0.0.5:8000", "10.0.0.5:8001", "10.0.0.6:8000", "engine.example:8000", "127.0.0.1:8000")


def look(at, *devices, **more):
    return Look(at, devices, more.get("serving", SERVING), more.get("gone", frozenset()), OWN)


def seen(*looks):
    gpus = Gpus()
    for each in looks:
        gpus = judge(gpus, each)
    return gpus


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        ((FINE,), ""),
        ((replace(FINE, temperature=89.0),), ""),
        ((LOST,), "GPU 0 (GPU-a) is lost"),
        ((), "GPU 0 (GPU-a) is lost"),
        ((replace(FINE, cannot_remap=True),), "cannot replace a faulty row"),
        ((replace(FINE, uncorrected=3),), "had 3 memory errors that were not corrected"),
        ((replace(FINE, xids=(79,)),), "critical error (Xid 79)"),
        ((replace(FINE, xids=(13, 31, 43, 45, 68, 109)),), ""),
        ((replace(FINE, xids=(48, 13)),), "critical error (Xid 48)"),
    ],
)
def test_an_engine_is_not_asked_when_its_gpu_is_unfit(devices, words):
    found = seen(look(100, FINE, OTHER), look(101, *devices, OTHER)).unfit(ADDRESSES)
    assert list(found) == (["10.0.0.5:8000", "127.0.0.1:8000"] if words else [])
    assert all(words in each for each in found.values())


@pytest.mark.parametrize("hot", [replace(FINE, is_slowed=True), replace(FINE, temperature=90.0)])
def test_heat_counts_when_it_lasts_and_until_it_has_been_gone_for_a_while(hot):
    gpus, told = Gpus(), []
    for at, device in [
        (0, hot),
        (2, hot),
        (2.5, FINE),
        (3, hot),
        (6, hot),
        (7, FINE),
        (16, FINE),
        (17, FINE),
    ]:
        gpus = judge(gpus, look(at, device))
        told.append(bool(gpus.unfit(ADDRESSES)))
    assert told == [False, False, False, False, True, True, True, False]


@pytest.mark.parametrize("started", [120.0, 105.0])
def test_an_engine_that_was_started_again_after_a_critical_error_is_asked(started):
    again = replace(ENGINE, pid=300, started=started)
    before = seen(look(100, FINE), look(110, replace(FINE, xids=(62,))))
    assert before.unfit(ADDRESSES)
    restarted = replace(FINE, processes=frozenset({301}))
    after = judge(before, look(130, restarted, serving={301: (again,)}, gone=frozenset({ENGINE})))
    assert not after.unfit(ADDRESSES)


def test_a_lost_gpu_stays_whose_it_was_until_that_ends_or_it_is_back():
    lost = seen(look(100, FINE), look(101, LOST, serving={}), look(102, LOST, serving={}))
    assert lost.unfit(ADDRESSES)
    assert not judge(lost, look(103, LOST, gone=frozenset({ENGINE}))).unfit(ADDRESSES)
    assert not judge(lost, look(103, FINE)).unfit(ADDRESSES)


def test_what_nobody_uses_any_more_is_forgotten():
    gpus = seen(look(100, FINE, OTHER), look(101, FINE))
    assert set(gpus.known) == {"GPU-a", "GPU-b"}
    assert set(judge(gpus, look(102, FINE, gone=frozenset({SECOND}))).known) == {"GPU-a"}


def test_an_engine_of_several_gpus_needs_all_of_them():
    both = replace(OTHER, processes=frozenset({101}))
    found = seen(look(100, FINE, both), look(101, FINE, replace(both, uncorrected=1))).unfit(ADDRESSES)
    assert "GPU 1 (GPU-b)" in found["10.0.0.5:8000"]
    assert "10.0.0.5:8001" not in found


@pytest.mark.parametrize(
    ("listens", "address", "hit"),
    [
        ("::", "[fd00::5]:8000", True),
        ("::", "10.0.0.5:8000", True),
        ("127.0.0.1", "127.0.0.1:8000", True),
        ("127.0.0.1", "10.0.0.5:8000", False),
        ("0.0.0.0", "10.0.0.6:8000", False),
        ("0.0.0.0", "10.0.0.5:8001", False),
        ("0.0.0.0", "10.0.0.5:x", False),
        ("0.0.0.0", "", False),
    ],
)
def test_an_endpoint_is_who_listens_at_its_address_on_this_host(listens, address, hit):
    serving = {101: (replace(ENGINE, host=listens),)}
    gpus = seen(look(100, FINE, serving=serving), look(101, LOST, serving={}))
    assert bool(gpus.unfit([address])) is hit
