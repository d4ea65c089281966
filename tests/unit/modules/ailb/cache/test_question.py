"""Which requests are the same."""

import json

import pytest

from marchproxy.modules.ailb.cache import Question, Wish, key_of, wish_of
from marchproxy.modules.ailb.dialects.asked import read
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.ledger.who import Who

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5}
ANN = Who("ann", "ann", "search")


def key(body=None, operation=Operation.CHAT, **fields):
    asked = read(operation, body if isinstance(body, bytes) else json.dumps(BODY | (body or {})).encode())
    given = {"route": "llm", "who": ANN, "model": "m", "targets": (("pool", "m"),), "beside": ("",)} | fields
    return key_of(Question(asked=asked, **given))


@pytest.mark.parametrize(
    "same",
    [
        {"body": b'{"temperature": 0.5,\n"messages":[{"content":"hi","role":"user"}],"model":"m"}'},
        {"body": {"user": "bob", "metadata": {"a": "b"}, "prompt_cache_key": "x"}},
        {"body": {"model": "alias-of-m"}},
        {"who": Who("bob", "bob", "search")},
    ],
)
def test_the_same(same):
    assert key(**same) == key()
    assert len(key()) == 64


@pytest.mark.parametrize(
    "other",
    [
        {"body": {"temperature": 0.6}},
        {"body": {"messages": [{"role": "user", "content": "ho"}]}},
        {"body": {"stream": True}},
        {"body": {"seed": 1}},
        {"body": {"store": False, "background": None}},
        {"body": {"max_tokens": 5}, "operation": Operation.MESSAGES},
        {"who": Who("ann", "ann", "ads")},
        {"who": Who("ann", "ann")},
        {"who": Who()},
        {"route": "other"},
        {"model": "n"},
        {"targets": (("pool", "n"),)},
        {"beside": ("beta=true",)},
    ],
)
def test_another_one(other):
    assert key(**other) not in {key(), ""}


def test_keys_are_not_teams():
    assert key(who=Who("search")) != key(who=Who("x", "", "search"))
    assert key(who=Who("a")) != key(who=Who("b"))


@pytest.mark.parametrize(
    "body",
    [
        {"store": True},
        {"background": True},
        {"conversation": "conv_1"},
        {"previous_response_id": "resp_1"},
        {"prompt": {"id": "p"}},
    ],
)
def test_what_goes_by_state_is_not_kept(body):
    assert key({"input": "hi"} | body, Operation.RESPONSES) == ""


@pytest.mark.parametrize(
    ("header", "wish"),
    [
        ("", Wish.ALL),
        ("max-age=60", Wish.ALL),
        ("no-cache", Wish.FRESH),
        ("Max-Age=0", Wish.FRESH),
        ("private, No-Store", Wish.NOTHING),
        ("no-cache, no-store", Wish.NOTHING),
    ],
)
def test_wishes(header, wish):
    assert wish_of(header) is wish
