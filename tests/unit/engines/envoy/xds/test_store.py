import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marchproxy.engines.envoy.xds import store
from marchproxy.engines.envoy.xds.snapshot import EMPTY, Draft, check
from tests.unit.engines.envoy.xds import builders

GOOD = builders.web({"v1": [80], "v2": [81, 82]})
FILTERED = builders.snapshot(
    *GOOD,
    builders.listener("more", route="routes", filters=["mark"]),
    builders.extension("mark", "1"),
)


@pytest.mark.parametrize("snapshot", [GOOD, FILTERED, EMPTY, check(Draft((), frozenset({"ext_proc"})))])
def test_what_is_saved_is_loaded(tmp_path, snapshot):
    store.save(tmp_path / "last", snapshot)
    loaded = store.load(tmp_path / "last")
    assert loaded == snapshot
    assert [r.references for r in loaded] == [r.references for r in snapshot]


def test_saving_replaces_and_leaves_nothing_behind(tmp_path):
    store.save(tmp_path / "last", EMPTY)
    store.save(tmp_path / "last", GOOD)
    assert store.load(tmp_path / "last") == GOOD
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_no_file_is_no_snapshot(tmp_path):
    assert store.load(tmp_path / "last") is None


def resealed(payload: bytes) -> bytes:
    return store.encode(GOOD)[: len("marchproxy-snapshot 1 ")] + store._digest(payload) + b"\n" + payload


def inconsistent() -> bytes:
    # valid in form, but the route's clusters are not in it
    part = [{"name": r.name, "version": r.version, "resource": r.body} for r in GOOD if r.name != "v1"]
    return resealed(b"[]\n" + store.discovery_pb2.DeltaDiscoveryResponse(resources=part).SerializeToString())


def foreign() -> bytes:
    stranger = {"name": "x", "resource": {"type_url": "type.googleapis.com/google.protobuf.Empty"}}
    return resealed(
        b"[]\n" + store.discovery_pb2.DeltaDiscoveryResponse(resources=[stranger]).SerializeToString()
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"[]\n",
        b"\xff\xfe\n\x00",
        store.encode(GOOD)[:-1],
        store.encode(GOOD)[:40],
        store.encode(GOOD) + b"x",
        store.encode(GOOD).replace(b"snapshot 1", b"snapshot 2"),
        resealed(b""),
        resealed(b"[]\nnot protobuf"),
        inconsistent(),
        foreign(),
    ],
)
def test_a_file_that_cannot_be_used_is_ignored(tmp_path, content):
    (tmp_path / "last").write_bytes(content)
    assert store.load(tmp_path / "last") is None


def test_a_directory_in_its_place_is_ignored(tmp_path):
    assert store.load(tmp_path) is None


@settings(deadline=None)
@given(st.integers(0, len(store.encode(GOOD)) - 1), st.integers(1, 255))
def test_one_flipped_byte_never_yields_another_snapshot(position, mask):
    content = bytearray(store.encode(GOOD))
    content[position] ^= mask
    with pytest.raises(ValueError, match=r"unknown format|checksum mismatch"):
        store.decode(bytes(content))
