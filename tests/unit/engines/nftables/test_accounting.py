import pytest

from marchproxy.engines.nftables.accounting import byte_chains
from marchproxy.engines.nftables.expressions import Family
from marchproxy.engines.nftables.plan import Backend, Frontend, Plan, Protocol
from marchproxy.engines.nftables.ruleset import compile_plan

REMOTE, HERE = Backend("10.0.0.1", 80), Backend("0.0.0.0", 80, local=True)


def looked_up(*frontends: Frontend) -> list[str]:
    contents = compile_plan(Plan(frontends), mark_bit=1)[Family.IP]
    chain = byte_chains(Family.IP, contents.accounting)["bytes-in"]
    return [f"{check['match']['right']} {count['counter']['map']['data']}" for check, count, _ in chain.rules]


def frontend(address: str, *backends: Backend, protocol: Protocol = Protocol.TCP, port: int = 80) -> Frontend:
    return Frontend(f"{address} {protocol.value} {port}", protocol, address, port, backends)


@pytest.mark.parametrize(
    ("frontends", "rules"),
    [
        ([frontend("0.0.0.0", REMOTE)], ["tcp @in-any-backend"]),
        ([frontend("0.0.0.0", REMOTE), frontend("0.0.0.0", REMOTE, port=81)], ["tcp @in-any-backend"]),
        ([frontend("192.0.2.1", HERE)], ["tcp @in-address-redirect"]),
        (
            [
                frontend("0.0.0.0", REMOTE, HERE),
                frontend("192.0.2.1", REMOTE),
                frontend("0.0.0.0", REMOTE, protocol=Protocol.UDP),
            ],
            ["tcp @in-address-backend", "tcp @in-any-backend", "tcp @in-any-redirect", "udp @in-any-backend"],
        ),
        ([frontend("0.0.0.0")], []),
    ],
    ids=["one", "two alike", "by address, redirected", "narrow before wide", "nobody"],
)
def test_a_packet_looks_only_into_maps_that_hold_something(frontends, rules):
    assert looked_up(*frontends) == rules
