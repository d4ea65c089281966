"""Limiting: the rules that let a new connection through or not, and the buckets behind them. Pure.

A bucket for everybody is a limit object, which outlives the rules that ask it; a bucket for each client is an element of a
dynamic set. The shortest period is asked first: what it refuses takes nothing out of the longer ones' buckets.
"""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

from marchproxy.engines.nftables import expressions as x
from marchproxy.engines.nftables import names
from marchproxy.engines.nftables.expressions import Family, Json
from marchproxy.engines.nftables.plan import Frontend, Limit, Protocol, Rate
from marchproxy.engines.nftables.thing import Kind, Rule, Thing

MAX_SOURCES = 65_535
"""Sources remembered per limit. When they are all in use, a new source is let through unlimited."""
_LEAST_MEMORY = 60


def limiting_rules(frontend: Frontend) -> Iterator[Rule]:
    """One for each limit that may refuse, and one that counts what came through."""
    family = Family.of(frontend.version)
    refused = names.counter(names.frontend_prefix(frontend.name), "limited")
    refuse = x.RESET if frontend.protocol is Protocol.TCP else x.DROP
    if frontend.concurrent:
        most = {"ct count": {"val": frontend.concurrent, "inv": True}}
        yield _in_set("add", family, names.concurrent_set(frontend), most), x.count(refused), refuse
    for limit in frontend.limits:
        allowed, denied = (names.counter(names.limit_prefix(limit.name), what) for what in names.RATED)
        whose = _whose(limit, family)
        for rate in _shortest_first(limit):
            yield (*whose, _over(limit, rate, family), x.count(denied), x.count(refused), refuse)
        yield (*whose, x.count(allowed))


def limiting_things(frontend: Frontend) -> Iterator[Thing]:
    """What the rules name. Buckets for everybody also without rules: they go on filling while nobody serves."""
    for limit in frontend.limits:
        yield from (
            Thing(Kind.COUNTER, names.counter(names.limit_prefix(limit.name), what)) for what in names.RATED
        )
        if not limit.each:
            yield from (Thing(Kind.LIMIT, names.bucket(limit, rate), _rated(rate)) for rate in limit.rates)
    if not frontend.serving:
        return  # a set is dynamic only when it is created together with the rule that fills it
    family = Family.of(frontend.version)
    kind = {"type": family.address_type, "size": MAX_SOURCES}
    if frontend.concurrent:
        yield Thing(Kind.SET, names.concurrent_set(frontend), kind)
    for limit in frontend.limits:
        for rate in limit.rates if limit.each else ():
            memory = {"flags": ["timeout"], "timeout": _memory(rate)}
            yield Thing(Kind.SET, names.bucket(limit, rate), {**kind, **memory})


def _over(limit: Limit, rate: Rate, family: Family) -> Json:
    bucket = names.bucket(limit, rate)
    if not limit.each:
        return {"limit": bucket}
    return _in_set("update", family, bucket, {"limit": _rated(rate)})


def _rated(rate: Rate) -> Json:
    return {"rate": rate.count, "burst": rate.bucket, "per": rate.period.value, "inv": True}


def _in_set(operation: str, family: Family, sources: str, statement: Json) -> Json:
    source: Any = x.header(family, "saddr")
    if family is Family.IP6:
        # whoever has one IPv6 address has the whole /64
        source = {"&": [source, "ffff:ffff:ffff:ffff::"]}
    return {"set": {"op": operation, "elem": source, "set": f"@{sources}", "stmt": [statement]}}


def _whose(limit: Limit, family: Family) -> tuple[Json, ...]:
    if not limit.network:
        return ()
    network = ip_network(limit.network, strict=False)
    if not network.prefixlen:
        return ()
    prefix = {"prefix": {"addr": str(network.network_address), "len": network.prefixlen}}
    return (x.equal(x.header(family, "saddr"), prefix),)


def _shortest_first(limit: Limit) -> list[Rate]:
    return sorted(limit.rates, key=lambda rate: rate.period.seconds)


def _memory(rate: Rate) -> int:
    # longer than the bucket takes to fill, so that forgetting a source gives it nothing
    return max(rate.period.seconds * rate.bucket // rate.count + 1, _LEAST_MEMORY)
