"""Weights: how a traffic shift changes the shares of a route's pools. Shares are whole percent and add up to 100."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from marchproxy.model.module import PoolName, Version
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.route import BackendRef


@dataclass(frozen=True, slots=True)
class Split:
    """How traffic is split between versions, largest share first; shares add up to 100 (or there are none)."""

    shares: tuple[tuple[Version, int], ...] = ()

    @property
    def active(self) -> Version:
        """The version with the largest share; empty when there is none."""
        return self.shares[0][0] if self.shares else Version("")

    @property
    def canary(self) -> Version:
        """The version with the next share; empty when one version has everything."""
        return self.shares[1][0] if len(self.shares) > 1 else Version("")

    def share(self, version: Version) -> int:
        """A version's share in percent; 0 for an unknown one."""
        return dict(self.shares).get(version, 0)

    @staticmethod
    def of(weights: Mapping[Version, int]) -> "Split":
        """The split in whole percent that relative weights make; none where all of them are 0."""
        if not any(weights.values()):
            return Split()
        percents = zip(weights, split(100, list(weights.values())), strict=True)
        return Split(tuple(sorted(percents, key=lambda pair: -pair[1])))


def shift_to_version(
    backends: Sequence[BackendRef], versions: Mapping[PoolName, Version], version: Version, percent: int
) -> tuple[BackendRef, ...]:
    """Give the pools of `version` together `percent`, and the others the rest, each side in its present proportion.

    Raises Refused when the percentage is not 0 to 100, no backend has the version, or nobody could take the rest.
    """
    if not 0 <= percent <= 100:
        raise Refused(RefusalCode.INVALID_ARGUMENT, f"weight: {percent} is not between 0 and 100")
    chosen = [at for at, backend in enumerate(backends) if versions.get(backend.pool) == version]
    others = [at for at, backend in enumerate(backends) if versions.get(backend.pool) != version]
    if not chosen:
        known = ", ".join(sorted({versions[b.pool] for b in backends if b.pool in versions})) or "none"
        raise Refused(RefusalCode.NOT_FOUND, f'version: no backend has version "{version}"; known: {known}')
    if not others and percent != 100:
        raise Refused(
            RefusalCode.INVALID_ARGUMENT,
            f'weight: every backend has version "{version}", so nothing can take the other {100 - percent} %',
        )
    shares: dict[int, int] = {}
    for side, total in ((chosen, percent), (others, 100 - percent)):
        shares |= dict(zip(side, split(total, [backends[at].weight for at in side]), strict=True))
    return tuple(replace(backend, weight=shares[at]) for at, backend in enumerate(backends))


def split(total: int, proportions: Sequence[int]) -> list[int]:
    """`total` in whole parts proportional to `proportions` (all zero: equal), by largest remainder.

    >>> split(10, [1, 1, 1])
    [4, 3, 3]
    """
    if not proportions:
        return []
    weights = list(proportions) if any(proportions) else [1] * len(proportions)
    whole = sum(weights)
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for index in by_remainder[: total - sum(parts)]:
        parts[index] += 1
    return parts


def version_shares(
    backends: Sequence[BackendRef], versions: Mapping[PoolName, Version]
) -> dict[Version, int]:
    """The share of each version, in percent, in the order of the backends."""
    shares: dict[Version, int] = {}
    for backend in backends:
        version = versions.get(backend.pool, Version(""))
        shares[version] = shares.get(version, 0) + backend.weight
    return shares
