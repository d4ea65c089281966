"""Validator: has Envoy itself judge a snapshot before anybody is given it, and finds everything that is wrong with it."""

import asyncio
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from marchproxy.engines.envoy.validation.culprits import search_among
from marchproxy.engines.envoy.validation.document import base, render, stand_in
from marchproxy.engines.envoy.validation.memory import Memory
from marchproxy.engines.envoy.validation.pieces import Piece, Pieces
from marchproxy.engines.envoy.validation.run import judge
from marchproxy.engines.envoy.validation.words import tokens
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.snapshot import Snapshot
from marchproxy.kit.telemetry import spanned

_SEARCH_SECONDS = 10.0
_NAMING = {ResourceType.LISTENER, ResourceType.EXTENSION}
_TELLING = 0.5  # a hint that fits more than this share of the suspects says nothing


@dataclass(frozen=True, slots=True)
class Fault:
    """What Envoy would refuse: a resource, or the route `part` in it. `message` is Envoy's own."""

    type: ResourceType
    name: str
    part: str
    message: str


class Validator:
    """One at a time: whoever asks while another question is under way profits from what that one finds."""

    def __init__(self, binary: Path, bootstrap: bytes, directory: Path) -> None:
        """`bootstrap` is that of the Envoy that snapshots are for. `directory` becomes the validator's own."""
        self._binary = binary
        self._base = base(bootstrap)
        self._directory = directory
        self._pieces = Pieces()
        self._memory = Memory()
        self._lock = asyncio.Lock()
        self.runs = 0
        shutil.rmtree(directory, ignore_errors=True)  # what a process that was killed left, keys perhaps
        directory.mkdir(mode=0o700, parents=True)

    @spanned("validate")
    async def check(self, snapshot: Snapshot) -> tuple[Fault, ...]:
        """Everything in `snapshot` that Envoy refuses; none: it would take it. Raises Unjudged.

        Only what was not judged before costs a run of Envoy, about 40 ms; each culprit costs a few more.
        """
        async with self._lock:
            self._memory.of(_fingerprint(self._binary))
            pieces = await asyncio.to_thread(lambda: tuple(self._pieces.of(snapshot)))
            unknown = self._memory.unknown(piece.digest for piece in pieces)
            unsettled: tuple[Fault, ...] = ()
            if unknown:
                fresh = list({piece.digest: piece for piece in pieces if piece.digest in unknown}.values())
                unsettled = await self._judge(fresh, _at_hand(fresh, snapshot))
            return tuple(dict.fromkeys((*self._faults(pieces), *unsettled)))

    def _faults(self, pieces: Iterable[Piece]) -> Iterable[Fault]:
        for piece in pieces if self._memory.has_refused else ():
            reason = self._memory.reason(piece.digest)
            if reason is not None:
                yield Fault(piece.type, piece.name, piece.part, reason)

    async def _judge(self, pieces: Sequence[Piece], at_hand: Sequence[bytes]) -> tuple[Fault, ...]:
        """Find out about pieces that are not known; returns what could not be settled in time."""
        reason = await self._run(pieces, at_hand)
        if reason is None:
            self._memory.pass_(piece.digest for piece in pieces)
            return ()
        search = search_among(pieces, suspected(reason, pieces), known_bad=True)
        reasons: dict[Piece, str] = {}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _SEARCH_SECONDS
        while search.question and loop.time() < deadline:
            answer = await self._run((*search.good, *search.question), at_hand)
            if answer is not None and len(search.question) == 1:
                reasons[search.question[0]] = answer
            likely = () if answer is None else suspected(answer, search.question)
            search = search.answered(sound=answer is None, likely=likely)
        self._memory.pass_(piece.digest for piece in search.good)
        if len(search.culprits) == 1 and not search.question:
            reasons.setdefault(search.culprits[0], reason)  # nothing else can have been meant
        for piece in search.culprits:
            own = reasons.get(piece) or await self._run((piece,), at_hand)
            self._memory.refuse(piece.digest, own or f"{reason} (together with others)")
        if not search.question:
            return ()
        words = f"{reason} (among {len(pieces)} changes; not all could be looked at)"
        return (Fault(search.question[0].type, search.question[0].name, "", words),)

    async def _run(self, pieces: Iterable[Piece], at_hand: Sequence[bytes]) -> str | None:
        self.runs += 1
        return await judge(self._binary, render(pieces, at_hand), self._base, directory=self._directory)


def suspected(reason: str, pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces that hold what Envoy's words repeat; none when that is most of them."""
    for token in tokens(reason):
        found = [piece for piece in pieces if token.encode() in piece.body]
        if 0 < len(found) <= max(1, len(pieces) * _TELLING):
            return found
    return []


def _at_hand(pieces: Iterable[Piece], snapshot: Snapshot) -> list[bytes]:
    """Clusters that the filters of listeners name: Envoy wants to know that there are such."""
    bodies = {body for piece in pieces for body in piece.beside}
    bodies |= {piece.body for piece in pieces if piece.type in _NAMING}
    everything = b"\n".join(bodies)
    return [stand_in(name) for name in snapshot.of(ResourceType.CLUSTER) if name.encode() in everything]


def _fingerprint(binary: Path) -> tuple[str, int, int, int]:
    try:
        status = binary.stat()
    except OSError:
        return str(binary), 0, 0, 0
    return str(binary), status.st_ino, status.st_size, status.st_mtime_ns
