"""Auditing: who did what, also who was not allowed to. Each entry is a log line, too."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.manager.access.errors import AccessError
from marchproxy.model.changes import without_userinfo
from marchproxy.model.identity import Principal
from marchproxy.model.record import AuditEntry, How, Outcome
from marchproxy.store import Store, StoreUnavailable

_log = get_logger(__name__)
_HOW: dict[str, How] = {"user": "session", "key": "key", "local": "local"}
_LONGEST = 2000
NOBODY = "-"
"""Who somebody is that no user is. What strangers call themselves is not kept: it may be a password in the wrong field."""


class Noted:
    """What an entry will say when the block ends well."""

    def __init__(self, target: str, detail: str) -> None:
        self.target = target
        self.detail = detail


class Auditor:
    """Writes the audit log."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def write(
        self,
        who: Principal | str,
        action: str,
        target: str,
        *,
        outcome: Outcome = "done",
        detail: str = "",
        address: str = "",
    ) -> None:
        """Write an entry. Where the store cannot take it the log has it, and what was done stays done."""
        name = who if isinstance(who, str) else who.name
        how: How = "session" if isinstance(who, str) else _HOW[who.kind]
        address = address or _address(who)
        told = without_userinfo(detail)[:_LONGEST]  # a refusal may say what it refuses
        entry = AuditEntry(self._clock.now(), name, how, address, action, target[:_LONGEST], outcome, told)
        _log.info(
            "audit",
            who=entry.who,
            how=entry.how,
            address=entry.address,
            action=entry.action,
            target=entry.target,
            outcome=entry.outcome,
        )
        try:
            await self._store.write_audit(entry)
        except StoreUnavailable as error:
            _log.error("an audit entry is in this log alone", reason=str(error), detail=entry.detail)

    @asynccontextmanager
    async def audited(
        self, who: Principal, action: str, target: str, *, detail: str = "", address: str = ""
    ) -> AsyncIterator[Noted]:
        """Write an entry when the block ends: `done`; `denied` for an AccessError; `refused` with the words of any other.

        The block may change what will be said of it.
        """
        noted = Noted(target, detail)
        try:
            yield noted
        except Exception as error:
            outcome: Outcome = "denied" if isinstance(error, AccessError) else "refused"
            words = f"{noted.detail}; {error}" if noted.detail else str(error)
            await self.write(who, action, noted.target, outcome=outcome, detail=words, address=address)
            raise
        await self.write(who, action, noted.target, detail=noted.detail, address=address)


def _address(who: Principal | str) -> str:
    return "" if isinstance(who, str) or who.session is None else who.session.address
