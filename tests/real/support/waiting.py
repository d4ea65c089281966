"""Waiting for what comes a little later."""

import asyncio
import inspect
from collections.abc import Callable


async def until(condition: Callable[[], object], within: float = 20.0) -> None:
    """Ask again and again, at once first, until the condition holds; it may be a coroutine function."""
    async with asyncio.timeout(within):
        while True:
            found = condition()
            if await found if inspect.isawaitable(found) else found:
                return
            await asyncio.sleep(0.02)
