"""Throttle: how long somebody waits who tries passwords. Pure, and of bounded size.

An attempt is charged when it begins, so that many at once are no way around it; a success pays it back. Failures are
counted for a name from one address, for an address, and for a name from anywhere. The last is the mildest: it may not
become a way to lock somebody out.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many failures are free; each further one doubles the wait, from one second up to `longest`."""

    free: int
    longest: float

    def wait(self, failures: int) -> float:
        """Seconds after the last of so many failures."""
        beyond = failures - self.free
        return 0.0 if beyond < 0 else min(2.0 ** min(beyond, 30), self.longest)


PAIR = Allowance(free=5, longest=900.0)
ADDRESS = Allowance(free=20, longest=900.0)
NAME = Allowance(free=50, longest=30.0)

_FORGOTTEN_AFTER = 3600.0
_MOST = 20_000

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Record:
    failures: int
    last: float


class Throttle:
    """Counts failed attempts. Of the longest untouched ones it forgets those beyond `most`."""

    def __init__(self, *, most: int = _MOST) -> None:
        self._most = most
        self._records: OrderedDict[Key, _Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def attempt(self, name: str, address: str, now: float) -> float:
        """Charge an attempt and return 0, or return the seconds to wait; then nothing is charged."""
        keys = dict(_keys(name, address))
        waits = [self._wait(key, allowance, now) for key, allowance in keys.items()]
        if (longest := max(waits)) > 0:
            return longest
        for key in keys:
            self._put(key, _Record(self._failures(key, now) + 1, now))
        return 0.0

    def succeeded(self, name: str, address: str) -> None:
        """Forget what was charged to the name from this address, and this one attempt everywhere else."""
        self.pay_back(name, address)
        pair, *_ = (key for key, _ in _keys(name, address))
        self._records.pop(pair, None)

    def pay_back(self, name: str, address: str) -> None:
        """Take back what one attempt was charged: nobody could look at it."""
        for key, _ in _keys(name, address):
            found = self._records.get(key)
            if found is not None and found.failures > 1:
                self._records[key] = _Record(found.failures - 1, found.last)
            else:
                self._records.pop(key, None)

    def _wait(self, key: Key, allowance: Allowance, now: float) -> float:
        failures = self._failures(key, now)
        if not failures:
            return 0.0
        return max(self._records[key].last + allowance.wait(failures) - now, 0.0)

    def _failures(self, key: Key, now: float) -> int:
        found = self._records.get(key)
        return 0 if found is None or now - found.last > _FORGOTTEN_AFTER else found.failures

    def _put(self, key: Key, record: _Record) -> None:
        self._records[key] = record
        self._records.move_to_end(key)
        while len(self._records) > self._most:
            self._records.popitem(last=False)


def _keys(name: str, address: str) -> Iterator[tuple[Key, Allowance]]:
    place = network_of(address)
    yield (name, place), PAIR
    yield ("", place), ADDRESS
    yield (name, ""), NAME


def network_of(address: str) -> str:
    """What one customer of a provider has: an IPv4 address, or the /64 of an IPv6 address; else the text itself."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(IPv6Network((found, 64), strict=False))
    return str(getattr(found, "ipv4_mapped", None) or found)
