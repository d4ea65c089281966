"""Why somebody is not let in, or not allowed something. Each tells no more than a stranger may know."""


class AccessError(Exception):
    """Somebody is refused; the message may be shown to him."""


class Unauthenticated(AccessError):
    """Nobody knows who asks, or what he showed is not right or no longer good."""


class Throttled(AccessError):
    """Too many failed attempts; `seconds` until another is looked at."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"too many failed attempts to sign in; try again in {max(round(seconds), 1)} s")


class Denied(AccessError):
    """Who asks is known, and may not do this."""


class PasswordChangeNeeded(Denied):
    """Until the password is changed, nothing else is allowed."""

    def __init__(self) -> None:
        super().__init__("the password must be changed first")


class WeakPassword(ValueError):
    """A password that is not taken; the message says what one must be like."""
