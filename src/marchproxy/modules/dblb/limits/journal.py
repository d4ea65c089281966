"""Journal: what the firewall found, in the log."""

from marchproxy.kit.logs import get_logger
from marchproxy.model.sql import SqlMode
from marchproxy.modules.dblb.plan import Who
from marchproxy.modules.dblb.sql import Verdict
from marchproxy.modules.reception.limits.bucket import Nanoseconds
from marchproxy.modules.reception.limits.rate import SECOND

_log = get_logger(__name__)
#: Lines about statements that are written in a second; those beyond are counted, and said in the first of the next second.
_LINES = 10
#: Bytes of a statement that are written.
_SHOWN = 200


class Journal:
    """Writes what the firewall found, but not more than can be read."""

    def __init__(self, now: Nanoseconds) -> None:
        self._now = now
        self._second = 0
        self._lines = 0

    def write(self, verdict: Verdict, statement: bytes, who: Who) -> None:
        """One line, while there are not too many."""
        second = self._now() // SECOND
        unsaid = 0
        if second != self._second:
            unsaid, self._second, self._lines = max(0, self._lines - _LINES), second, 0
        self._lines += 1
        if self._lines > _LINES:
            return
        say = _log.info if verdict.mode is SqlMode.LOG else _log.warning
        say(
            verdict.words,
            mode=verdict.mode.value,
            user=who.user,
            database=who.database,
            application=who.application,
            client=who.address,
            statement=statement[:_SHOWN].decode("utf-8", "replace"),
            **({"unsaid": unsaid} if unsaid else {}),
        )
