"""Settings of a DBLB: which make no sense, and what they come to."""

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.settings import HostPort, SettingsError, load
from marchproxy.model.module import Protocol
from marchproxy.modules.dblb.server import choose_ports, endpoints, seats
from marchproxy.modules.dblb.settings import DblbSettings
from marchproxy.modules.reception.port import Port

FILES = "certificate: /c, key: /k"


def settings(more="postgres: 127.0.0.1:6432"):
    return load(DblbSettings, f"{{id: d, type: dblb, {more}}}", environ={})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("workers: 2", "no port for clients: give one of mongodb, mongodb_proxy, mysql"),
        ("redis: 127.0.0.1:1, workers: 0", "workers: must be greater than or equal to 1"),
        ("redis: 127.0.0.1:1, proxy_sources: [10.0.0.300]", '"10.0.0.300" is no network'),
        ("redis: 127.0.0.1:1, proxy_sources: []", "proxy_sources"),
        ("redis: 127.0.0.1:1, client_tls: {}", "either certificate and key, or names in self_signed"),
        ("redis: 127.0.0.1:1, client_tls: {key: /k}", "certificate and key go together"),
        (f"redis: 127.0.0.1:1, client_tls: {{{FILES}, self_signed: [a]}}", "either certificate and key"),
        ("redis: 127.0.0.1:1, memory: {longest_message: 5}", "memory.longest_message"),
        ("redis: 127.0.0.1:1, traffic: 127.0.0.1:2", "unknown key"),
    ],
)
def test_what_makes_no_sense_is_told(more, words):
    with pytest.raises(SettingsError) as caught:
        settings(more)
    assert words in str(caught.value)


def test_ports_and_what_nlbs_are_told():
    found = settings("postgres: 0.0.0.0:6432, mysql_proxy: 127.0.0.1:6034, advertise: db.internal")
    assert found.ports() == (
        Port("mysql_proxy", Protocol.MYSQL, HostPort("127.0.0.1", 6034), proxied=True),
        Port("postgres", Protocol.POSTGRES, HostPort("0.0.0.0", 6432)),
    )
    assert [(one.name, one.address, one.proxy_protocol) for one in endpoints(found)] == [
        ("mysql-proxied", "db.internal:6034", True),
        ("postgres", "db.internal:6432", False),
    ]


def test_the_system_chooses_ports_that_are_0():
    chosen = choose_ports(settings("redis: 127.0.0.1:0, postgres: 127.0.0.1:6432"))
    assert chosen.redis is not None
    assert chosen.redis.port != 0
    assert chosen.postgres == HostPort("127.0.0.1", 6432)


@pytest.mark.parametrize(("workers", "count"), [("1", 1), ("7", 7)])
def test_how_many_workers(workers, count, tmp_path):
    found = settings(f"redis: 127.0.0.1:1, workers: {workers}")
    assert found.worker_count() == count
    assert len(seats(found, tmp_path, clock=VirtualClock())) == count


def test_by_default_there_are_no_more_workers_than_cores_and_four():
    assert 1 <= settings().worker_count() <= 4
