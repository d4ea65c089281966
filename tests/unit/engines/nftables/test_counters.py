"""nft's listing of counters, given back to the plan's names."""

import json

import pytest

from marchproxy.engines.nftables import (
    Backend,
    EndpointCounters,
    EndpointId,
    Frontend,
    FrontendCounters,
    Plan,
    Protocol,
    names,
)
from marchproxy.engines.nftables.counters import assign, parse_counters

BACKEND = Backend("10.1.0.1", 8080)
WEB = Frontend("web", Protocol.TCP, "10.0.0.1", 80, (BACKEND, Backend("10.1.0.2", 8080)))


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
    chain, endpoint = names.frontend_chain("web"), names.endpoint_chain(WEB, BACKEND)
    values = {
        f"{chain}.denied": (1, 60),
        f"{chain}.limited": (2, 120),
        f"{chain}.unserved": (3, 180),
        f"{endpoint}.new": (4, 240),
        f"{endpoint}.in": (50, 5_000),
        f"{endpoint}.out": (60, 60_000),
        "fe-gone-00000000.denied": (9, 9),
    }
    read = assign(Plan((WEB,)), dict(parse_counters(listing(values))))
    assert read.frontends == {"web": FrontendCounters(denied=1, limited=2, unserved=3)}
    assert read.endpoints == {
        EndpointId("web", "10.1.0.1", 8080): EndpointCounters(4, 5_000, 60_000),
        EndpointId("web", "10.1.0.2", 8080): EndpointCounters(0, 0, 0),
    }


@pytest.mark.parametrize("text", [b"", b"{}", b'{"nftables": [{"counter": {}}]}', b'{"nftables": 3}'])
def test_what_cannot_be_read_is_an_error(text: bytes):
    with pytest.raises((ValueError, KeyError, TypeError)):
        dict(parse_counters(text))
