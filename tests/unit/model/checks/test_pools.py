from dataclasses import replace

import pytest

from marchproxy.model.checks import check_pools
from marchproxy.model.pool import (
    BackendPool,
    BalancePolicy,
    CircuitBreakers,
    Discovery,
    Endpoint,
    HashTable,
    OutlierDetection,
    UpstreamTls,
)

POOL = BackendPool("p", endpoints=(Endpoint("a:1"),))


def pool(**change):
    return replace(POOL, **change)


def outliers(**change):
    return pool(outliers=replace(OutlierDetection(), **change))


@pytest.mark.parametrize(
    "sound",
    [
        pool(tls=UpstreamTls()),
        pool(tls=UpstreamTls("/ca", "a.example", "/cert", "/key")),
        pool(tls=UpstreamTls(insecure=True)),
        pool(breakers=CircuitBreakers(1, 2, 3, 0.0)),
        outliers(max_ejected_percent=100, consecutive_errors=1),
        pool(discovery=Discovery(dns="a.internal:80", interval=0.5)),
        pool(discovery=Discovery(srv="_http._tcp.a.internal")),
        pool(discovery=Discovery(srv="_http._tcp.a.internal.")),
        pool(discovery=Discovery(file="/endpoints.yaml")),
        pool(slow_start=30.0),
        pool(slow_start=30.0, balance=BalancePolicy.ROUND_ROBIN),
        pool(balance=BalancePolicy.SOURCE_HASH, hash_table=HashTable.RING),
    ],
)
def test_sound_pools(sound):
    assert list(check_pools([sound])) == []


@pytest.mark.parametrize(
    ("faulty", "paths", "message"),
    [
        (pool(tls=UpstreamTls("ca", "", "cert", "key")), ["tls.ca", "tls.certificate", "tls.key"], '"ca" is not the absolute path'),
        (pool(tls=UpstreamTls(certificate="/c")), ["tls.certificate"], "goes with key, which is not set"),
        (pool(tls=UpstreamTls(key="/k")), ["tls.key"], "goes with certificate, which is not set"),
        (pool(tls=UpstreamTls(server_name="*.a")), ["tls.server_name"], '"*.a" is not a host name'),
        (pool(tls=UpstreamTls("/ca", insecure=True)), ["tls.ca"], "nothing is verified with insecure"),
        (pool(breakers=CircuitBreakers(-1, -1, 2**31)), ["breakers.max_connections", "breakers.max_pending_requests", "breakers.max_requests"], "-1 is not between"),
        (pool(breakers=CircuitBreakers(retry_percent=100.5)), ["breakers.retry_percent"], "100.5 is not between 0 and 100"),
        (pool(breakers=CircuitBreakers(retry_percent=float("nan"))), ["breakers.retry_percent"], "nan"),
        (outliers(interval=0.0), ["outliers.interval"], "more than 0"),
        (outliers(ejection_time=-1.0), ["outliers.ejection_time"], "more than 0"),
        (outliers(consecutive_errors=0), ["outliers.consecutive_errors"], "0 is not between 1 and 1000"),
        (outliers(max_ejected_percent=101), ["outliers.max_ejected_percent"], "101 is not between 1 and 100"),
        (pool(discovery=Discovery("a:1", "_a._tcp.b", "/f")), ["discovery.srv", "discovery.file"], "and dns are both given"),
        (pool(discovery=Discovery(dns="a")), ["discovery.dns"], '"a" is not host:port'),
        (pool(discovery=Discovery(dns="10.0.0.1:80")), ["discovery.dns"], "is an address, not a name"),
        (pool(discovery=Discovery(dns="[::1]:80")), ["discovery.dns"], "is an address, not a name"),
        (pool(discovery=Discovery(srv="a.internal")), ["discovery.srv"], "is not a name such as _http._tcp"),
        (pool(discovery=Discovery(file="endpoints")), ["discovery.file"], "is not the absolute path"),
        (pool(discovery=Discovery(interval=0.0)), ["discovery.interval"], "more than 0"),
        (pool(slow_start=-1.0), ["slow_start"], "-1.0 s"),
        (pool(slow_start=1.0, balance=BalancePolicy.RANDOM), ["slow_start"], "goes with least_connections and round_robin, not with random"),
    ],
)  # fmt: skip
def test_each_fault_is_told_at_its_path(faulty, paths, message):
    problems = list(check_pools([faulty]))
    assert [problem.path for problem in problems] == [f"pools[0].{path}" for path in paths]
    assert any(message in problem.message for problem in problems), problems
