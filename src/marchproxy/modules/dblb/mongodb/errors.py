"""Errors: what a client is told in place of an answer, in a server's own codes and labels.

https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml. The labels are what a mongos puts: they tell a driver
whether it may try again. https://github.com/mongodb/specifications/blob/master/source/retryable-writes/retryable-writes.md
"""

from enum import Enum

from marchproxy.wire.mongodb import message
from marchproxy.wire.mongodb.bson import Value
from marchproxy.wire.mongodb.command import Command


class Fault(Enum):
    """Code and name."""

    HOST_UNREACHABLE = (6, "HostUnreachable")
    UNAUTHORIZED = (13, "Unauthorized")
    PROTOCOL = (17, "ProtocolError")
    AUTHENTICATION = (18, "AuthenticationFailed")
    CURSOR_NOT_FOUND = (43, "CursorNotFound")
    NO_SERVER = (133, "FailedToSatisfyReadPreference")
    LIMITED = (462, "IngressRequestRateLimitExceeded")
    OP_QUERY = (352, "UnsupportedOpQueryCommand")


#: What a server says that is, or is about to be, no primary any more; or that it stops.
NOT_PRIMARY = frozenset({91, 189, 10058, 10107, 11600, 11602, 13435, 13436})
_ENDINGS = frozenset({"commitTransaction", "abortTransaction"})


def document(fault: Fault, words: str, labels: tuple[str, ...] = ()) -> dict[str, Value]:
    """The error as a document."""
    code, name = fault.value
    found: dict[str, Value] = {"ok": 0.0, "errmsg": words, "code": code, "codeName": name}
    return {**found, "errorLabels": labels} if labels else found


def answer(command: Command, fault: Fault, words: str) -> bytes:
    """The error as an answer to a command, which was not carried out, or of which nobody knows whether it was."""
    labels = _labels(command) if fault in {Fault.HOST_UNREACHABLE, Fault.NO_SERVER} else ()
    return message.build(document(fault, words, labels), number=0, answers=message.request_id(command.data))


def _labels(command: Command) -> tuple[str, ...]:
    if command.transaction is not None:
        if command.name == "commitTransaction":
            return "RetryableWriteError", "UnknownTransactionCommitResult"
        return ("RetryableWriteError",) if command.name in _ENDINGS else ("TransientTransactionError",)
    return ("RetryableWriteError",) if b"txnNumber" in command.places else ()
