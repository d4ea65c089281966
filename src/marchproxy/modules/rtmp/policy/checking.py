"""Checking: whether one of the ways to authenticate grants a claim."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from marchproxy.model.http import AuthenticationKind
from marchproxy.model.streams import parameters
from marchproxy.modules.rtmp.plan import Way
from marchproxy.modules.rtmp.policy.claim import Claim, Refusal
from marchproxy.modules.rtmp.policy.signature import check_signature

#: Whoever asks services; see `Callbacks.ask`.
Ask: TypeAlias = Callable[[Way, Claim], Awaitable[Refusal | None]]


async def check(ways: Sequence[Way], claim: Claim, ask: Ask, *, now: float) -> Refusal | None:
    """Why none of them grants the claim; None: one does, or there are none. Services are asked last, `now` in Unix seconds."""
    if not ways:
        return None
    refusals: list[Refusal] = []
    for way in sorted(ways, key=lambda one: one.authentication.kind is AuthenticationKind.CALLBACK):
        refusal = await ask(way, claim) if _is_asked(way) else prove(way, claim, now=now)
        if refusal is None:
            return None
        refusals.append(refusal)
    return next((one for one in refusals if one.shown), refusals[0])


def prove(way: Way, claim: Claim, *, now: float) -> Refusal | None:
    """Why what the client shows is no proof by a way that has a file; None: it is one."""
    shown = parameters(claim.query)
    match way.authentication.kind:
        case AuthenticationKind.STREAM_KEYS:
            if "key" not in shown:
                return Refusal("denied", "no key was shown", shown=False)
            if way.keys.open(claim.key, shown["key"]):
                return None
            return Refusal("denied", "the key is none of this stream")
        case AuthenticationKind.SIGNED if way.secret:
            return check_signature(way.secret, claim.action.value, claim.key, shown, now=now)
        case _:
            return Refusal("denied", "nobody here can check who may")


def _is_asked(way: Way) -> bool:
    return way.authentication.kind is AuthenticationKind.CALLBACK
