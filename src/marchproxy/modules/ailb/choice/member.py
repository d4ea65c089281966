"""Member: what is known of one endpoint of a pool. Pure; `now` is monotonic seconds."""

from collections.abc import Sequence

from marchproxy.kit.addresses import ip_address
from marchproxy.model.pool import Endpoint
from marchproxy.modules.ailb.choice.cooldown import Cooldown
from marchproxy.modules.ailb.choice.prefix import TOKENS_PER_BLOCK, Seen
from marchproxy.modules.ailb.load.engine_load import EngineLoad

#: Blocks that an endpoint is believed to keep unless it says how many: 500,000 tokens, as llm-d has it.
USUAL_BLOCKS = 31_250
_MOST_BLOCKS = 125_000
#: Requests that an engine of which nothing is known is believed to take at once; more are sent as it takes them.
_FIRST_ROOM = 32.0
_UNKNOWN_KV = 1.0


class Member:
    """One endpoint. What an engine says is old when it arrives, so what we sent since then is added to it: `base` + `in_flight`
    requests are there now, whoever sent them, and more than `room` must wait.

    `host`: its `ip:port`, empty where it is a name. `share`: how much heavier a request weighs than on the pool's largest.
    """

    __slots__ = (
        "_asked_at",
        "_full_at",
        "_running",
        "_waited",
        "address",
        "base",
        "blocks",
        "cached",
        "cooldown",
        "heard_at",
        "host",
        "in_flight",
        "knows",
        "kv_usage",
        "room",
        "seen",
        "share",
        "taken",
        "turn",
        "weight",
    )

    def __init__(self, endpoint: Endpoint) -> None:
        self.address = endpoint.address
        self.host = endpoint.address if _is_ip(endpoint.address) else ""
        self.weight = endpoint.weight
        self.share = 1.0
        self.in_flight = 0
        self.taken = 0.0
        """Requests that it was sent of late, by weight."""
        self.turn = 0.0
        """What it is owed, in a round of those that take turns."""
        self.cooldown = Cooldown()
        self.seen = Seen(USUAL_BLOCKS)
        self.blocks = self.cached = 0
        """Of all prompts that were sent there, and those of them that it had seen."""
        self.knows = False
        self.heard_at = 0.0
        self.base = 0.0
        self.room = 0.0
        self.kv_usage = _UNKNOWN_KV
        self._asked_at = 0
        self._full_at = 0.0
        self._running = 0.0
        self._waited = False

    @property
    def demand(self) -> float:
        """Requests that are there now, as far as anybody knows."""
        return max(0.0, self.base + self.in_flight)

    @property
    def waiting(self) -> float:
        """Those of them that must wait there."""
        return max(0.0, self.base + self.in_flight - self.room) if self.knows else 0.0

    def sent(self, blocks: Sequence[int]) -> int:
        """A prompt is sent there; how many of its blocks it has seen."""
        cached = self.seen.match(blocks)
        self.seen.add(blocks)
        self.blocks += len(blocks)
        self.cached += cached
        return cached

    def asked(self) -> None:
        """Its engine is being asked now."""
        self._asked_at = self.in_flight

    def heard(self, load: EngineLoad, now: float) -> None:
        """What its engine said of the moment when it was asked."""
        self.room = self._room(load)
        self.base = load.waiting + load.running - self._asked_at
        self.kv_usage = load.kv_usage
        if load.kv_tokens:
            self.seen.resize(min(load.kv_tokens // TOKENS_PER_BLOCK, _MOST_BLOCKS))
        self._running, self._waited = load.running, load.waiting > 0
        self.knows, self.heard_at = True, now

    def silent(self) -> None:
        """Its engine says nothing: only what we sent is known, and a KV cache of which nothing is known speaks for nobody."""
        self.knows, self._waited = False, False
        self.base, self.room, self.kv_usage = 0.0, 0.0, _UNKNOWN_KV

    def _room(self, load: EngineLoad) -> float:
        """An engine that lets some wait again, and has not begun more than before, is full. Others are sent twice as many as
        they have, and one that was full once as many as then, until it has more."""
        held = load.running + load.waiting
        if load.waiting > 0 and self._waited and load.running <= self._running:
            self._full_at = load.running
            return load.running
        return max(self._full_at, held) if self._full_at else max(_FIRST_ROOM, 2.0 * held)


def _is_ip(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
