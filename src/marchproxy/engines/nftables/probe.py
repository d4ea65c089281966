"""Probe: a plan that needs everything this engine asks of nft and the kernel; only ever checked, never put in force."""

from marchproxy.engines.nftables.plan import (
    Backend,
    Frontend,
    Limit,
    Period,
    Plan,
    Policy,
    Protocol,
    Rate,
)

_RATES = tuple(Rate(1, period, burst=2) for period in Period)


def _frontends(version: int) -> tuple[Frontend, ...]:
    # addresses that documentation reserves (RFC 5737, RFC 3849)
    prefix, nowhere, cidr = (
        ("192.0.2.", "0.0.0.0", "192.0.2.0/24") if version == 4 else ("2001:db8::", "::", "2001:db8::/32")
    )
    backends = (
        Backend(f"{prefix}1", 1),
        Backend(f"{prefix}2", 2, weight=2, keep_source=True),
        Backend(nowhere, 3, local=True),
    )
    limits = (
        Limit("everybody", _RATES),
        Limit(f"network-{version}", _RATES, cidr),
        Limit(f"clients-{version}", _RATES, cidr, each=True),
    )
    balanced = [
        Frontend(
            f"{policy.value}-{version}",
            Protocol.TCP,
            f"{prefix}9",
            number,
            backends,
            policy,
            (cidr,),
            (cidr,),
            limits,
            concurrent=1,
        )
        for number, policy in enumerate(Policy, start=1)
    ]
    return (*balanced, Frontend(f"nobody-{version}", Protocol.UDP, nowhere, 1))


PROBE = Plan((*_frontends(4), *_frontends(6)))
