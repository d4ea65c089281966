"""Waiting for what comes a little later, as long as a busy machine may take."""

import asyncio
import inspect
from collections.abc import Callable


async def until(condition: Callable[[], object], within: float = 40.0) -> None:
    """Ask again and again, at once first, until the condition holds; it may be a coroutine function."""
    async with asyncio.timeout(within):
        while True:
            found = condition()
            if await found if inspect.isawaitable(found) else found:
                return
            await asyncio.sleep(0.02)
