"""Whose key it is, and what a client is told whose key is none."""

from dataclasses import replace

import pytest

from marchproxy.model.ai import VirtualKey
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.keys import KeyRing, digest, new_key
from marchproxy.modules.ailb.keys.ring import Standing
from marchproxy.modules.ailb.ledger.periods import nanoseconds

NOW = nanoseconds("2030-06-01T12:00:00Z")
KEY = VirtualKey("ann", digest("sk-ann"), models=("gpt-4*", "o1"))


def test_a_key_is_known_by_its_hash():
    assert KeyRing([KEY]).find("sk-ann", NOW) is KEY


@pytest.mark.parametrize(
    ("changed", "shown", "standing"),
    [
        ({}, "sk-bob", Standing.UNKNOWN),
        ({}, "", Standing.MISSING),
        ({}, digest("sk-ann"), Standing.UNKNOWN),  # who has read the document has no key
        ({}, "x" * 10_000, Standing.UNKNOWN),
        ({}, "sk-\udc80ann", Standing.UNKNOWN),  # bytes that are no UTF-8
        ({"enabled": False}, "sk-ann", Standing.DISABLED),
        ({"expires": "2030-06-01T12:00:00Z"}, "sk-ann", Standing.EXPIRED),
        ({"expires": "2030-06-01T14:00:00+02:00"}, "sk-ann", Standing.EXPIRED),
        ({"expires": "2030-06-01"}, "sk-ann", Standing.EXPIRED),
        ({"expires": "2030-06-01T12:00:00.000001Z"}, "sk-ann", Standing.GOOD),
        ({"expires": "2030-06-02"}, "sk-ann", Standing.GOOD),
    ],
)
def test_standing(changed, shown, standing):
    ring = KeyRing([replace(KEY, **changed)])
    assert ring.look(shown, NOW)[0] is standing
    assert isinstance(ring.find(shown, NOW), Failure) is (standing is not Standing.GOOD)


def test_strangers_do_not_learn_whether_a_key_exists():
    off, late = replace(KEY, enabled=False), replace(KEY, expires="2020-01-01")
    told = {KeyRing(keys).find("sk-ann", NOW) for keys in ([], [off], [late])}
    # in the words by which LiteLLM knows that it is the key
    assert told == {Failure(Reason.NO_KEY, "Incorrect API key provided")}


@pytest.mark.parametrize(("model", "may"), [("gpt-4o", True), ("o1", True), ("o1-mini", False), ("", False)])
def test_permissions(model, may):
    assert KeyRing([KEY]).permits(KEY, model) is may


def test_permissions_follow_the_ring_and_not_the_key_that_is_held():
    assert KeyRing([replace(KEY, models=())]).permits(KEY, "anything")
    assert not KeyRing([]).permits(KEY, "o1")


def test_of_two_with_one_id_the_first_counts():
    ring = KeyRing([KEY, replace(KEY, hash=digest("sk-other"))])
    assert len(ring) == 1
    assert isinstance(ring.find("sk-other", NOW), Failure)


def test_new_keys_differ_and_are_not_shown_by_accident():
    first, second = new_key(), new_key()
    assert first.shown != second.shown
    assert KeyRing([first.entry]).find(first.shown, NOW) is first.entry
    assert first.shown not in repr(first)
