"""Watching: asking the worker that has a stream to package it, and answering that."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from marchproxy.engines.workers.line import Garbled, Line
from marchproxy.kit.logs import get_logger
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.ownership import owner_of

_log = get_logger(__name__)
#: How long a worker may take until a stream's lists are there.
WATCH_SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class Watch:
    """Package the stream `vhost/app/name` for a while, which so many watch. Answer: Watched."""

    key: str
    viewers: int = 0
    kind: Literal["watch"] = "watch"


@dataclass(frozen=True, slots=True)
class Watched:
    """`trouble` empty: its lists are there."""

    trouble: str = ""
    kind: Literal["watched"] = "watched"


_LINE: Line[Watch, Watched] = Line(TypeAdapter(Watch), TypeAdapter(Watched))


def socket_of(folder: Path, worker: int) -> Path:
    """Where a worker answers."""
    return folder / f"{worker}.view"


async def ask(folder: Path, workers: int, watch: Watch, key: StreamKey) -> str:
    """Have the owner of a stream package it; why it cannot, in words, empty: it does."""
    path = socket_of(folder, owner_of(key, workers))
    try:
        async with asyncio.timeout(WATCH_SECONDS):
            reader, writer = await asyncio.open_unix_connection(str(path))
            try:
                _LINE.write_question(writer, watch)
                return (await _LINE.read_answer(reader)).trouble
            finally:
                writer.close()
    except TimeoutError:
        return "its worker does not answer in time"
    except (OSError, EOFError, Garbled) as error:
        _log.warning("a worker was not reached", socket=str(path), reason=str(error) or repr(error))
        return "its worker is away"


class Counter:
    """Answers at a worker's socket."""

    def __init__(self, watch: Callable[[str, int], Awaitable[str]]) -> None:
        self._watch = watch

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one question."""
        try:
            async with asyncio.timeout(WATCH_SECONDS):
                question = await _LINE.read_question(reader)
                _LINE.write_answer(writer, Watched(await self._watch(question.key, question.viewers)))
                await writer.drain()
        except Garbled as error:
            _log.warning("question not understood", reason=str(error))
        except (TimeoutError, EOFError, OSError):
            pass  # who asked hears that nobody answers
        finally:
            with suppress(OSError):
                writer.close()
