"""Spans: what code says about its work. Knows no OpenTelemetry, so that who never traces never imports it."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import Any, Protocol, TypeAlias, TypeVar, cast

Value: TypeAlias = str | bool | int | float
F = TypeVar("F", bound=Callable[..., Any])


class Recorder(Protocol):
    """What keeps spans."""

    def span(self, name: str, attributes: Mapping[str, Value]) -> AbstractContextManager[None]:
        """A span for the length of a block, below the one that is active; what the block raises is noted."""
        ...

    def annotate(self, attributes: Mapping[str, Value]) -> None:
        """Add to the active span, if there is one."""
        ...

    def trace_id(self) -> str | None:
        """The active trace, as 32 hexadecimal digits."""
        ...

    def call(self, name: str, attributes: Mapping[str, Value]) -> AbstractContextManager[None]:
        """A span for a call to another process; `headers` go with the call."""
        ...

    def headers(self) -> Mapping[str, str]:
        """The active span as the headers of a call (W3C Trace Context); none without one."""
        ...

    def answer(
        self, name: str, attributes: Mapping[str, Value], headers: Mapping[str, str]
    ) -> AbstractContextManager[None]:
        """A span for a call that came in with these headers: part of its caller's trace, or the root of a new one."""
        ...

    def fail(self, reason: str) -> None:
        """The work of the active span failed."""
        ...


_recorder: Recorder | None = None
_NOTHING = nullcontext()


def recorder() -> Recorder | None:
    """What keeps the spans of this process; None where it does not trace."""
    return _recorder


def span(name: str, **attributes: Value) -> AbstractContextManager[None]:
    """A span for the length of a block; nothing where this process does not trace."""
    return _NOTHING if _recorder is None else _recorder.span(name, attributes)


def annotate(**attributes: Value) -> None:
    """Add attributes to the active span."""
    if _recorder is not None:
        _recorder.annotate(attributes)


def trace_id() -> str | None:
    """The id of the active trace, as 32 hexadecimal digits; None without one."""
    return None if _recorder is None else _recorder.trace_id()


def spanned(name: str) -> Callable[[F], F]:
    """Every call of the function, or of the coroutine, is a span of that name."""

    def decorate(function: F) -> F:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if _recorder is None:
                return function(*args, **kwargs)
            with _recorder.span(name, {}):
                return function(*args, **kwargs)

        @wraps(function)
        def start(*args: Any, **kwargs: Any) -> Any:
            work = function(*args, **kwargs)
            return work if _recorder is None else _within(_recorder.span(name, {}), work)

        return cast("F", start if inspect.iscoroutinefunction(function) else call)

    return decorate


@contextmanager
def recording(keeper: Recorder) -> Iterator[None]:
    """Spans go to `keeper` for the length of the block."""
    global _recorder  # noqa: PLW0603 - one per process, as the log is
    before, _recorder = _recorder, keeper
    try:
        yield
    finally:
        _recorder = before


async def _within(around: AbstractContextManager[None], work: Any) -> Any:
    with around:
        return await work
