"""Refusals: whether a server that is read from says no for what it is, or for what it lacks. No I/O."""

from marchproxy.modules.dblb.postgres.answers import Heard
from marchproxy.modules.dblb.postgres.login import GOING
from marchproxy.wire.postgres.backend import read_error

#: Classes of SQLSTATE that are no part of being a replica.
_LACKING = ("42", "3F", *GOING)
#: Classes of SQLSTATE with which a replica refuses what the primary might answer: it only reads (25006), is a standby (0A000,
#: 55000), has to go on replaying (40001), does not have yet what others made (42, 3F), or is about to end (57P).
_REPLICAS_OWN = ("25", "0A", "55", "40", "72", *_LACKING)


def code_of(heard: Heard) -> str:
    """The SQLSTATE of the first error; empty: there is none."""
    errors = [*heard.own_errors, *heard.errors]
    return read_error(errors[0]).code if errors else ""


def is_replicas_own(code: str) -> bool:
    """Whether the primary might answer nevertheless."""
    return code.startswith(_REPLICAS_OWN)


def tells_of_lack(code: str) -> bool:
    """Whether a primary with the same data would not have said it."""
    return code.startswith(_LACKING)
