"""Tasks: periodic work that survives its own errors, and the life of a service process under signals."""

import asyncio
import gc
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger

T = TypeVar("T")
_log = get_logger(__name__)


async def every(
    interval: float | Callable[[], float],
    work: Callable[[], Awaitable[None]],
    *,
    clock: Clock,
    name: str,
    jitter: float = 0.0,
) -> None:
    """Run `work` now and then every `interval` seconds (± the share `jitter`), until cancelled; a function is asked each time.

    An exception from `work` is logged with `name` and the loop goes on. Work that takes longer than the interval
    starts again at once; missed rounds are not made up for.
    """
    while True:
        started = clock.monotonic()
        try:
            await work()
        except Exception:  # noqa: BLE001 - the loop must outlive whatever one round meets; it is logged in full
            _log.exception("periodic task failed", task=name)
        seconds = interval() if callable(interval) else interval
        wait = seconds * (1.0 + jitter * random.uniform(-1.0, 1.0))  # noqa: S311 - spreads load, guards nothing
        await clock.sleep(max(started + wait - clock.monotonic(), 0.0))


class Isolating(asyncio.TaskGroup):
    """A TaskGroup in which a task that fails is logged and ends alone: for tasks of clients who must not end each other's."""

    def create_task(self, coro: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:  # type: ignore[override]
        """As that of TaskGroup; the result of a task that failed is None."""
        task = super().create_task(_alone(coro), **options)
        task.add_done_callback(
            lambda _: coro.close()
        )  # one that is cancelled before it begins is never awaited
        return task


async def comes(event: asyncio.Event, *, within: float) -> bool:
    """Wait for an event, for so many seconds at most; whether it came."""
    try:
        async with asyncio.timeout(within):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def _alone(work: Coroutine[Any, Any, T]) -> T:
    try:
        return await work
    except Exception:  # noqa: BLE001 - what one task meets is not to end the others; it is logged in full
        _log.exception("a task failed")
        return None  # type: ignore[return-value]  # nobody waits for it


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[None]:
    """Run `work` for the length of the block, then cancel it. What the block raises comes out bare.

    What `work` raises ends the block and comes out in an ExceptionGroup.
    """
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work, name=name)
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again below, outside the group, so that it is not wrapped
            failure = error
        finally:
            task.cancel()
    if failure is not None:
        raise failure


async def run_service(
    main: Callable[[asyncio.Event], Coroutine[Any, Any, None]],
    *,
    on_reload: Callable[[], Awaitable[None]] | None = None,
    patient: bool = False,
) -> bool:
    """Run `main(stop)` until it returns. SIGTERM and SIGINT set `stop`, a second one cancels; SIGHUP reloads.

    `patient`: a second one is no news, for who may be told to stop by several that know nothing of each other.
    Returns False when `main` had to be cancelled by the second signal. What `main` raises is raised here, bare.
    Reloads run one at a time; signals that arrive meanwhile add up to one more. A reload that fails is logged.
    """
    stop, reload_wanted = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        service = group.create_task(_outcome(main(stop)), name="service")
        reloader = group.create_task(_reload_when_asked(reload_wanted, on_reload), name="reload")

        def terminate() -> None:
            if stop.is_set() and not patient:
                service.cancel()
            stop.set()

        with _signals(
            {signal.SIGTERM: terminate, signal.SIGINT: terminate, signal.SIGHUP: reload_wanted.set}
        ):
            await asyncio.wait([service])
        reloader.cancel()
    if service.cancelled():
        return False
    if (error := service.result()) is not None:
        raise error
    return True


def run(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end on a fresh uvloop."""
    import uvloop  # noqa: PLC0415 - only a process that serves pays for it

    _calm_the_collector()
    return uvloop.run(make())


def _calm_the_collector() -> None:
    """Look for cycles less often, and never in what was imported.

    With the defaults a call of gRPC costs a sixth more, and each full collection stops the loop for tens of
    milliseconds, most of it among modules and protobuf descriptors that live as long as the process.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


async def _outcome(work: Coroutine[Any, Any, None]) -> Exception | None:
    # handed over as a value, so that the TaskGroup does not wrap the service's own error in a group
    try:
        await work
    except Exception as error:  # noqa: BLE001 - raised again by run_service
        return error
    return None


async def _reload_when_asked(wanted: asyncio.Event, on_reload: Callable[[], Awaitable[None]] | None) -> None:
    while True:
        await wanted.wait()
        wanted.clear()
        if on_reload is None:
            _log.info("nothing to reload", signal="SIGHUP")
            continue
        try:
            await on_reload()
        except Exception:  # noqa: BLE001 - a bad new configuration must not stop the running service
            _log.exception("reload failed; the service goes on as before")


@contextmanager
def _signals(handlers: dict[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
