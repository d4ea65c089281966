"""Failings: the record of the calls to each module, by its address, and word of those that turn bad or well again."""

from collections.abc import Callable

from marchproxy.nlb.service.core import Core
from marchproxy.nlb.state.failing import Record, answered, failed, refused
from marchproxy.nlb.state.member import Trouble
from marchproxy.nlb.state.registry import MAX_MEMBERS

_MOST_ADDRESSES = 2 * MAX_MEMBERS


class Failings:
    """Who calls modules reports here.

    `tell` gets an address and its trouble, or an empty text when it is over; `count` is called with every failing, as
    "failed" or "refused".
    """

    def __init__(
        self,
        tell: Callable[[str, str], None] | None = None,
        *,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.tell = tell
        self._count = count
        self._records: dict[str, Record] = {}

    def of(self, address: str) -> Record:
        """The record of an address; one of no failing for an unknown one."""
        return self._records.get(address, Record())

    def answered(self, address: str) -> None:
        """A call was answered."""
        if address in self._records:
            self._note(address, answered(self._records[address]))

    def refused(self, address: str, reason: str) -> None:
        """A call was answered with no."""
        self._count("refused")
        self._note(address, refused(self.of(address), reason))

    def failed(self, address: str, reason: str) -> None:
        """A call brought no usable answer."""
        self._count("failed")
        self._note(address, failed(self.of(address), reason))

    def forget(self, address: str) -> None:
        """The instance there is gone, or another one."""
        self._records.pop(address, None)

    def _note(self, address: str, record: Record) -> None:
        before = self.of(address)
        if address not in self._records and len(self._records) >= _MOST_ADDRESSES:
            del self._records[next(iter(self._records))]  # of a call that outlived its module
        self._records[address] = record
        if self.tell is not None and bool(before.trouble) is not bool(record.trouble):
            self.tell(address, record.trouble)


def marker(core: Core) -> Callable[[str, str], None]:
    """What `Failings.tell` needs to mark the members at an address as degraded, or well again."""

    def mark(address: str, trouble: str) -> None:
        for member in tuple(core.world.registry.members.values()):
            if member.instance.address == address:
                core.note_trouble(member.instance.instance_id, Trouble.CALLS, trouble)

    return mark
