"""Order: the endpoints of a pool, the best one first. Pure: the caller brings the dice.

`pending` has, for each of `members`, the requests that are there and one more, by weight.
"""

from collections.abc import Sequence
from math import log
from random import Random

from xxhash import xxh64_intdigest

from marchproxy.model.ai import Scores
from marchproxy.modules.ailb.choice.member import Member

#: An endpoint has too many when it has so many more, and so many times more, than who has fewest (SGLang's guard).
_MORE = 32
_TIMES = 1.5
#: Below this a difference in requests counts for less: with one more than nobody an endpoint is not as bad as can be.
_LEAST_SPREAD = 5.0
#: One request in a hundred goes where nothing is cached, so that somebody else has it too.
_EXPLORED = 0.01
#: The most that counts against who was sent most of late: a prompt that nobody has seen goes where fewest went.
_EVEN = 0.5
_FEW = 16
#: Too little to outweigh anything: it shuffles those who are equal.
_TIE = 1e-9


def imbalanced(low: float, high: float) -> bool:
    """Whether `high` requests on one endpoint are too many beside `low` on another."""
    return high - low > _MORE and high > _TIMES * low


def by_score(
    members: Sequence[Member], pending: list[float], scores: Scores, blocks: Sequence[int], dice: Random
) -> list[Member]:
    """llm-d's scorers: a short queue, room in the KV cache, the part of the prompt that was there before; and who had less."""
    roll = dice.random
    low, high = min(pending), max(pending)
    queue, kv = scores.queue / _LEAST_SPREAD, scores.kv_cache
    if high - low > _LEAST_SPREAD:
        if imbalanced(low, high):
            return by_pending(members, pending, dice)
        queue = scores.queue / (high - low)
    even = _EVEN / (max([one.taken for one in members]) + _FEW)
    points = [
        roll() * _TIE - load * queue - one.kv_usage * kv - one.taken * even
        for one, load in zip(members, pending, strict=True)
    ]
    if blocks and roll() >= _EXPLORED:
        each = scores.prefix / len(blocks)
        for at, one in enumerate(members):
            points[at] += one.seen.match(blocks) * each
    return _sorted(members, points)


def by_pending(members: Sequence[Member], pending: Sequence[float], dice: Random) -> list[Member]:
    """Who has fewest requests."""
    roll = dice.random
    return _sorted(members, [roll() * _TIE - load for load in pending])


def in_turn(members: Sequence[Member]) -> list[Member]:
    """Each as often as its weight says, and evenly (nginx's smooth weighted round robin)."""
    total = 0
    for one in members:
        one.turn += one.weight
        total += one.weight
    order = _sorted(members, [one.turn for one in members])
    order[0].turn -= total
    return order


def by_affinity(members: Sequence[Member], pending: Sequence[float], value: str) -> list[Member]:
    """The endpoint that a value keeps to: one that goes takes only its own along (weighted rendezvous hashing; Schindelhauer
    and Schomaker, 2005). While it has too many requests the value's next one takes over."""
    low, text = min(pending), value.encode()
    points: list[tuple[bool, float]] = []
    for one, load in zip(members, pending, strict=True):
        uniform = ((xxh64_intdigest(one.address.encode() + b"\0" + text) >> 12) + 0.5) / 2**52
        points.append((not imbalanced(low, load), -one.weight / log(uniform)))
    ranks = sorted(range(len(members)), key=points.__getitem__, reverse=True)
    return [members[rank] for rank in ranks]


def _sorted(members: Sequence[Member], points: list[float]) -> list[Member]:
    ranks = sorted(range(len(members)), key=points.__getitem__, reverse=True)
    return [members[rank] for rank in ranks]
