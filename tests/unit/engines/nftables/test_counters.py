"""nft's listing of counters, given back to the plan's names."""

import json

import pytest

from marchproxy.engines.nftables import (
    Backend,
    EndpointCounters,
    EndpointId,
    Frontend,
    FrontendCounters,
    Limit,
    LimitCounters,
    Period,
    Plan,
    Protocol,
    Rate,
    names,
)
from marchproxy.engines.nftables.counters import Values, assign

BACKEND = Backend("10.1.0.1", 8080)
LIMITS = (Limit("ten", (Rate(10, Period.SECOND),)),)
WEB = Frontend("web", Protocol.TCP, "10.0.0.1", 80, (BACKEND, Backend("10.1.0.2", 8080)), limits=LIMITS)


def listing(values: dict[str, tuple[int, int]]) -> bytes:
    counters = [
        {
            "counter": {
                "family": "ip",
                "table": "marchproxy",
                "name": name,
                "handle": 1,
                "packets": p,
                "bytes": b,
            }
        }
        for name, (p, b) in values.items()
    ]
    return json.dumps({"nftables": [{"metainfo": {"json_schema_version": 1}}, *counters]}).encode()


def test_values_find_their_endpoint():
    chain, endpoint = names.frontend_prefix("web"), names.endpoint_prefix("web", BACKEND)
    limit = names.limit_prefix("ten")
    printed = {
        f"{chain}.denied": (1, 60),
        f"{chain}.limited": (2, 120),
        f"{chain}.unserved": (3, 180),
        f"{endpoint}.new": (4, 240),
        f"{endpoint}.in": (50, 5_000),
        f"{endpoint}.out": (60, 60_000),
        f"{limit}.allowed": (7, 420),
        f"{limit}.denied": (8, 480),
        "fe-gone-00000000.denied": (9, 9),
    }
    values = Values()
    values.add_listing(listing(printed))
    values.add_listing(listing({f"{limit}.denied": (1, 80)}))  # the other family's table
    read = assign(Plan((WEB,)), values)
    assert read.limits == {"ten": LimitCounters(allowed=7, denied=9)}
    assert read.frontends == {"web": FrontendCounters(denied=1, limited=2, unserved=3)}
    assert read.endpoints == {
        EndpointId("web", "10.1.0.1", 8080): EndpointCounters(4, 5_000, 60_000),
        EndpointId("web", "10.1.0.2", 8080): EndpointCounters(0, 0, 0),
    }


@pytest.mark.parametrize("text", [b"", b"{}", b'{"nftables": [{"counter": {}}]}', b'{"nftables": 3}'])
def test_what_cannot_be_read_is_an_error(text: bytes):
    with pytest.raises((ValueError, KeyError, TypeError)):
        Values().add_listing(text)
