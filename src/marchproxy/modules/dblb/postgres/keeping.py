"""Keeping: why a client keeps its link beyond the transaction, and when it has to give it back, or to go."""

from collections.abc import Mapping, Sequence

from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.pinning import Residue, may_leave
from marchproxy.modules.dblb.postgres.roles import Read
from marchproxy.modules.dblb.postgres.settling import setting
from marchproxy.modules.dblb.postgres.stay import Stay
from marchproxy.wire.postgres.framing import Event

_log = get_logger(__name__)
_SHOWN = 200
_QUERY, _HEAD = ord("Q"), 5
_ASKS = frozenset(b"QFE")
#: What no reset takes out of a server's session.
_LASTING = "load"


class Keeping:
    """Of one client. `matters`: something must be looked at before its link is let go."""

    __slots__ = ("_extras", "_stay", "discarded", "dismissal", "matters", "pinned", "read", "spoilt")

    def __init__(self, stay: Stay, read: Read) -> None:
        self._stay = stay
        self.read = read
        self._extras = b""
        self.matters = stay.keeps
        self.pinned = False
        """Whether it has left something in the session of its server."""
        self.spoilt = False
        """Whether nobody else may have that session, whatever is done to it."""
        self.discarded = False
        """Whether it has said DISCARD ALL last."""
        self.dismissal = ""
        """Why it has to go; empty: it need not."""

    def begin(self, extras: Mapping[str, str]) -> None:
        """Settings that it has, and that servers do not report."""
        if extras:
            self._extras = setting(extras)
            self.matters = True

    def taken(self, link: Link) -> None:
        """It has a link now."""
        if self._extras and not self.pinned:
            self._pin("settings that it began with", b"")
            link.ask_silently(self._extras)

    def look(self, link: Link, text: bytes) -> None:
        """It sends a query that is worth a look."""
        self.note(link, self.read(text), text)

    def look_at(self, link: Link, data: bytes, events: Sequence[Event]) -> int:
        """It sends these messages; how many of them ask for something."""
        asked = 0
        for kind, start, end in events:
            if kind in _ASKS:
                asked += 1
                if kind == _QUERY and may_leave(data, start + _HEAD):
                    self.look(link, data[start + _HEAD : end - 1])
        return asked

    def note(self, link: Link, left: Residue | None, text: bytes) -> None:
        """It sends a statement, which may leave something."""
        if left is not None and (reason := left.reason(link.parameters)):
            self.spoilt |= _LASTING in left.pins
            if not self.pinned:
                self._pin(reason, text)

    def dismiss(self, words: str) -> None:
        """It has to go."""
        self.dismissal, self.matters = words, True

    def keeps(self, link: Link) -> bool:
        """Whether it keeps its link, whose server is free."""
        if self.discarded:
            self.discarded = False
            if self._extras:
                link.ask_silently(self._extras)
            else:
                self.pinned = False
        kept = self.pinned or self._stay.keeps
        self.matters = kept or bool(self.dismissal)
        return kept

    def leave(self, link: Link) -> None:
        """It is gone: its transaction is rolled back, what runs for it is ended with the link."""
        flow = link.state.flow
        settled = not flow.owed and not flow.copying_in and link.between
        if settled and not self.spoilt:
            link.owner.recycle(link, reset=self.pinned or self._stay.keeps)
        else:
            link.owner.discard(link, politely=settled)

    def _pin(self, reason: str, text: bytes) -> None:
        self.pinned = self.matters = True
        stay = self._stay
        if stay.keeps:
            return
        stay.tally.pins[reason] += 1
        _log.info(
            "a session keeps its server connection",
            reason=reason,
            statement=text[:_SHOWN].decode(errors="replace"),
            route=stay.route.route_id,
            user=stay.who.user,
            database=stay.who.database,
        )
