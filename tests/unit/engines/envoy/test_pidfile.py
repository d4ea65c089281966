import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.engines.envoy.pidfile import PidRecord, parse_record, render_record
from marchproxy.kit.settings.types import HostPort


@pytest.mark.parametrize("admin", [None, HostPort("127.0.0.1", 9901), HostPort("::1", 9901)])
def test_round_trip(admin):
    record = PidRecord(pid=4711, start_ticks=123456, fingerprint="abc", admin=admin)
    assert parse_record(render_record(record)) == record
    restarted = PidRecord(4711, 123456, "abc", admin, epoch=3, base_id=17)
    assert parse_record(render_record(restarted)) == restarted


def test_a_file_of_an_earlier_version_has_no_hot_restart():
    content = b'{"pid": 4711, "start_ticks": 1, "fingerprint": "a", "admin": null}'
    assert parse_record(content) == PidRecord(4711, 1, "a", epoch=0, base_id=0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"4711\n",
        b"\xff\xfe\x00",
        b"[1, 2]",
        b"null",
        b'{"pid": 4711}',
        b'{"pid": "4711", "start_ticks": 1, "fingerprint": "a", "admin": null}',
        b'{"pid": 4711, "start_ticks": 0, "fingerprint": "a", "admin": null}',
        b'{"pid": -1, "start_ticks": 1, "fingerprint": "a", "admin": null}',  # a signal to every process
        b'{"pid": 0, "start_ticks": 1, "fingerprint": "a", "admin": null}',  # a signal to our own group
        b'{"pid": 1, "start_ticks": 1, "fingerprint": "a", "admin": null}',  # init
        b'{"pid": true, "start_ticks": 1, "fingerprint": "a", "admin": null}',
        b'{"pid": 4711, "start_ticks": 1.5, "fingerprint": "a", "admin": null}',
        b'{"pid": 4711, "start_ticks": 1, "fingerprint": null, "admin": null}',
        b'{"pid": 4711, "start_ticks": 1, "fingerprint": "a", "admin": 9901}',
        b'{"pid": 4711, "start_ticks": 1, "fingerprint": "a", "admin": "9901"}',
        b'{"pid": 4711, "start_ticks": 1, "fingerprint": "a", "admin": null, "epoch": -1}',
        b'{"pid": 4711, "start_ticks": 1, "fingerprint": "a", "admin": null, "base_id": "7"}',
        b"[" * 100_000,
    ],
)
def test_garbage_is_no_record(content):
    assert parse_record(content) is None


@given(st.binary())
def test_no_bytes_raise(content):
    parse_record(content)


@given(st.integers(min_value=0))
def test_a_truncated_file_is_no_record(cut):
    content = render_record(PidRecord(pid=4711, start_ticks=123456, fingerprint="abc")).rstrip()
    assert parse_record(content[: cut % len(content)]) is None
    assert json.loads(content)["pid"] == 4711
