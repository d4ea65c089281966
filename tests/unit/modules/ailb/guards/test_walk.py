"""Checks that are done at once, and those that let others go first."""

import asyncio
import json

import pytest

from marchproxy.model.ai import GuardKind, GuardMode, Guardrail
from marchproxy.modules.ailb.dialects.asked import read
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.guards import Chain, Checked, Going, Walk, unanswered
from marchproxy.modules.ailb.guards.checking import Said

PII = Guardrail("pii", GuardKind.PII, GuardMode.REDACT, entities=("email",))
JUDGE = Guardrail("judge", GuardKind.HTTP, url="http://judge/")


def asked(text):
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    return read(Operation.CHAT, json.dumps(body).encode())


class Time:
    """Each look at it takes so many seconds."""

    def __init__(self, step):
        self._now, self._step = 0.0, step

    def __call__(self):
        self._now += self._step
        return self._now


def test_what_is_short_is_checked_at_once():
    assert isinstance(Walk(unanswered, Time(0.0)).begin(Chain([PII], b""), asked("a@b.de" * 5000)), Checked)


async def test_what_takes_long_lets_others_go_first():
    others = []
    going = Walk(unanswered, Time(0.003)).begin(Chain([PII], b""), asked("a@b.de " * 5000))
    assert isinstance(going, Going)
    asyncio.get_running_loop().call_soon(others.append, "went first")
    checked = await going.finish({})
    assert others
    assert "@" not in checked.asked.body.text


async def test_what_takes_too_long_is_refused():
    going = Walk(unanswered, Time(0.7)).begin(Chain([PII], b""), asked("a@b.de " * 5000))
    checked = await going.finish({})
    assert checked.asked.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(("said", "refused"), [(Said(flagged=True), True), (Said(flagged=False), False)])
async def test_others_are_asked(said, refused):
    heard = []

    async def ask(ask, about):
        heard.append((json.loads(ask.body), about))
        return said

    going = Walk(ask, Time(0.0)).begin(Chain([PII, JUDGE], b""), asked("a@b.de"))
    checked = await going.finish({"key": "ann"})
    assert heard == [({"input": ["[EMAIL]"]}, {"key": "ann"})]
    assert isinstance(checked.asked, Failure) is refused
