"""Memory: what a session has set, so that another server connection can be made like its own. Pure."""

from collections.abc import Iterator

from marchproxy.modules.dblb.mysql.reading import Reading

_MOST, _LONGEST = 64, 4096


class Memory:
    """Of one session. `bound` says why no other connection can do; empty: another can."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, ...], tuple[int, bytes]] = {}
        self.version = 0
        """Grows with all that must be told to another connection."""
        self.bound = ""
        self.next_is_bound = False
        """Whether the next transaction is to be other than usual."""
        self.wrote = False
        """Whether something may have been written since the position was asked for."""
        self.moved = False
        """Whether that was over another connection than the session has now."""
        self.position = ""
        """Up to where a replica must have got before it may answer."""

    def clear(self) -> None:
        """The session is as new; what it wrote before, it still wrote."""
        self._texts.clear()
        self.bound, self.next_is_bound = "", False

    def note(self, statement: bytes, reading: Reading) -> None:
        """The session's own connection is sent a statement."""
        self.next_is_bound = reading.next_only
        self.wrote = self.wrote or reading.writes
        self.bound = self.bound or reading.binds
        if not reading.sets:
            return
        if len(statement) > _LONGEST or (reading.sets not in self._texts and len(self._texts) >= _MOST):
            self.bound = self.bound or "more is set than is remembered"
            return
        self.version += 1
        self._texts.pop(reading.sets, None)
        self._texts[reading.sets] = (self.version, statement)

    @property
    def sets_autocommit(self) -> bool:
        """Whether only the session's own connection can tell if a transaction begins by itself."""
        return any("autocommit" in names for names in self._texts)

    def since(self, version: int) -> Iterator[bytes]:
        """The statements that a connection lacks which was told up to a version, in their order."""
        return (text for number, text in self._texts.values() if number > version)
