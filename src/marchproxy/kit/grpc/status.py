"""Errors a handler raises to answer a call with a gRPC status. Codes: grpc.io/docs/guides/status-codes."""

from grpc import StatusCode


class Misuse(Exception):
    """The call cannot be answered, for a reason its author can read and act on."""

    def __init__(self, code: StatusCode, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code.name}: {message}")


def invalid(message: str) -> Misuse:
    """Return INVALID_ARGUMENT: the request is wrong, whatever the state of the system."""
    return Misuse(StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> Misuse:
    """Return NOT_FOUND: what the request names is unknown here."""
    return Misuse(StatusCode.NOT_FOUND, message)


def already_exists(message: str) -> Misuse:
    """Return ALREADY_EXISTS."""
    return Misuse(StatusCode.ALREADY_EXISTS, message)


def failed_precondition(message: str) -> Misuse:
    """Return FAILED_PRECONDITION: the system must change before a retry can succeed."""
    return Misuse(StatusCode.FAILED_PRECONDITION, message)


def unavailable(message: str) -> Misuse:
    """Return UNAVAILABLE: try again in a moment."""
    return Misuse(StatusCode.UNAVAILABLE, message)


def resource_exhausted(message: str) -> Misuse:
    """Return RESOURCE_EXHAUSTED: a quota or a bound is reached."""
    return Misuse(StatusCode.RESOURCE_EXHAUSTED, message)


def unauthenticated(message: str) -> Misuse:
    """Return UNAUTHENTICATED: no credentials, or wrong ones."""
    return Misuse(StatusCode.UNAUTHENTICATED, message)


def permission_denied(message: str) -> Misuse:
    """Return PERMISSION_DENIED: known, but not allowed."""
    return Misuse(StatusCode.PERMISSION_DENIED, message)


def unimplemented(message: str) -> Misuse:
    """Return UNIMPLEMENTED: this part does not offer the method."""
    return Misuse(StatusCode.UNIMPLEMENTED, message)
