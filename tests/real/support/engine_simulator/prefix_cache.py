"""A prefix cache as vLLM has one: prompts in blocks, the least recently used forgotten; and how much of it is in use."""

from collections import OrderedDict

BLOCK = 64


class PrefixCache:
    """`size`: its blocks."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.queries = 0
        self.hits = 0
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def take(self, prompt: bytes) -> int:
        """Read a prompt: how many bytes of its beginning were known. Whole blocks only, each after the one before."""
        known, chain, unbroken = 0, 0, True
        for at in range(0, len(prompt) - BLOCK + 1, BLOCK):
            chain = hash((chain, prompt[at : at + BLOCK]))
            unbroken = unbroken and chain in self._blocks
            known += unbroken
            self._blocks[chain] = None
            self._blocks.move_to_end(chain)
        while len(self._blocks) > self.size:
            self._blocks.popitem(last=False)
        self.queries += len(prompt) // BLOCK
        self.hits += known
        return known * BLOCK
