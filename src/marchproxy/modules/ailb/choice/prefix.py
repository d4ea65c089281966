"""Prefix: what an engine's KV cache may have of a prompt, told by the hashes of the prompt's blocks. Pure.

As llm-d's approximate prefix index does it: each block's hash has the one before it in it, so equal hashes mean equal
beginnings. https://github.com/llm-d/llm-d-inference-scheduler (approximateprefix)
"""

from collections.abc import Sequence
from struct import Struct

from xxhash import xxh64_intdigest

from marchproxy.modules.ailb.dialects.body import Body
from marchproxy.modules.ailb.dialects.operations import Operation

#: Bytes of a block: 16 tokens, the blocks of vLLM, of 4 characters.
BLOCK = 64
TOKENS_PER_BLOCK = 16
_MOST_BLOCKS = 256
_LONGEST = BLOCK * _MOST_BLOCKS
#: In the order in which chat templates put them before the model.
_MEMBERS = {
    Operation.CHAT: ("messages",),
    Operation.COMPLETIONS: ("prompt",),
    Operation.RESPONSES: ("instructions", "input"),
    Operation.MESSAGES: ("system", "messages"),
}
#: What changes the beginning of what the model reads, or keeps two prompts apart (vLLM's `cache_salt`).
_ROOT = ("cache_salt", "tools")


class Prompt:
    """A request's prompt, hashed when somebody wants to know. `model`: as routes name it."""

    __slots__ = ("_blocks", "_body", "_members", "_model")

    def __init__(self, operation: Operation, body: Body, model: str) -> None:
        self._members = _MEMBERS.get(operation, ())
        self._body = body
        self._model = model
        self._blocks: Sequence[int] | None = None

    @property
    def blocks(self) -> Sequence[int]:
        """The hashes of its first whole blocks, at most 256; none: nothing that an engine would have kept."""
        if self._blocks is None:
            self._blocks = chain(self._root(), self._text())
        return self._blocks

    def _root(self) -> bytes:
        members = self._body.members
        if "tools" not in members and "cache_salt" not in members:
            return f"{self._model}\0\0".encode()
        raw = self._body.raw
        return "\0".join([self._model, *[raw(name) for name in _ROOT]]).encode()

    def _text(self) -> bytes:
        # as the client wrote it: who speaks is as much of a prompt as what is said, and nothing need be put together
        raw = self._body.raw
        if len(self._members) == 1:
            return raw(self._members[0])[:_LONGEST].encode()[:_LONGEST]
        return "".join([raw(name)[:_LONGEST] for name in self._members])[:_LONGEST].encode()[:_LONGEST]


def chain(root: bytes, text: bytes) -> Sequence[int]:
    """The hash of each whole block, seeded with the one before; the first with that of `root`."""
    whole = min(len(text) // BLOCK, _MOST_BLOCKS)
    value = xxh64_intdigest(root)
    return [value := xxh64_intdigest(block, value) for block in _CUTS[whole].unpack_from(text)]


#: Cut by one call: slices take twice as long.
_CUTS = tuple(Struct(f"{BLOCK}s" * whole) for whole in range(_MOST_BLOCKS + 1))


class Seen:
    """The blocks that one endpoint was sent of late: the last `capacity`, and at most twice as many.

    Two generations: a young one that is full becomes the old one, and the old one is forgotten. In simulations it finds as much
    as a list in the order of use, and adding 256 blocks takes 3 µs, not 20. No block outlives those before it in its prompt,
    which `match` relies on.
    """

    __slots__ = ("_capacity", "_old", "_young")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._old: set[int] = set()
        self._young: set[int] = set()

    def __len__(self) -> int:
        return len(self._old) + len(self._young)

    def resize(self, capacity: int) -> None:
        """Be full at so many from the next prompt on."""
        self._capacity = capacity

    def add(self, blocks: Sequence[int]) -> None:
        """A prompt was sent there."""
        if len(self._young) + len(blocks) > self._capacity:
            self._old, self._young = self._young, set()
        self._young.update(blocks[: self._capacity])

    def match(self, blocks: Sequence[int]) -> int:
        """How many of a prompt's first blocks it has."""
        young, old = self._young, self._old
        if not blocks or (blocks[0] not in young and blocks[0] not in old):
            return 0
        low, high = 1, len(blocks)
        if blocks[-1] in young or blocks[-1] in old:
            return high
        while low < high:
            middle = (low + high) // 2
            if blocks[middle] in young or blocks[middle] in old:
                low = middle + 1
            else:
                high = middle
        return low
