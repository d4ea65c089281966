"""Hashes of a prompt's beginning, and who has seen it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh64_intdigest

from marchproxy.modules.ailb.choice.prefix import Prompt, Seen, chain
from marchproxy.modules.ailb.dialects.body import Body
from marchproxy.modules.ailb.dialects.operations import Operation

LONG = "All happy families are alike; each unhappy family is unhappy in its own way. " * 3


def prompt(operation=Operation.CHAT, model="m", **members):
    return Prompt(operation, Body.read(json.dumps({"model": "asked"} | members).encode()), model)


def shared(one, other):
    """How many first blocks are the same."""
    same = [a == b for a, b in zip(one.blocks, other.blocks, strict=False)]
    return same.index(False) if False in same else len(same)


def test_each_block_has_those_before_it_in_its_hash():
    text = bytes(range(64)) * 3
    first = xxh64_intdigest(text[:64], xxh64_intdigest(b"root"))
    second = xxh64_intdigest(text[64:128], first)
    assert chain(b"root", text + b"rest") == [first, second, xxh64_intdigest(text[128:192], second)]
    assert len(set(chain(b"root", bytes(640)))) == 10


@pytest.mark.parametrize(
    ("size", "blocks"),
    [(0, 0), (63, 0), (64, 1), (127, 1), (64 * 256, 256), (64 * 256 + 64, 256), (10**6, 256)],
)
def test_only_whole_blocks_count_and_no_more_than_256(size, blocks):
    assert len(chain(b"", bytes(size))) == blocks


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        (Operation.CHAT, {"messages": [{"role": "user", "content": LONG}]}),
        (Operation.COMPLETIONS, {"prompt": LONG}),
        (Operation.RESPONSES, {"instructions": LONG, "input": "hi"}),
        (Operation.RESPONSES, {"input": [{"role": "user", "content": LONG}]}),
        (Operation.MESSAGES, {"system": LONG, "messages": []}),
        (Operation.MESSAGES, {"messages": [{"role": "user", "content": LONG}]}),
    ],
)
def test_what_engines_read_first_is_hashed_first(operation, members):
    plain = prompt(operation, **members)
    assert len(plain.blocks) >= 3
    assert plain.blocks == prompt(operation, **members, temperature=1, user="me").blocks
    assert shared(plain, prompt(operation, model="other", **members)) == 0
    assert shared(plain, prompt(operation, **members, cache_salt="mine")) == 0
    assert shared(plain, prompt(operation, **members, tools=[{"type": "function"}])) == 0


def test_a_conversation_that_goes_on_begins_as_it_did():
    said = [{"role": "system", "content": LONG}, {"role": "user", "content": LONG}]
    before = prompt(messages=said)
    after = prompt(messages=[*said, {"role": "assistant", "content": LONG}])
    assert shared(before, after) >= len(before.blocks) - 1


def test_what_generates_nothing_has_no_blocks():
    assert not prompt(Operation.EMBEDDINGS, input=LONG).blocks


def test_text_of_several_bytes_a_character_is_cut_by_bytes():
    assert len(prompt(Operation.COMPLETIONS, prompt="日本語" * 9000).blocks) == 256


def prompts():
    """Chains: equal hashes mean equal beginnings, as those of real prompts do."""
    return st.lists(st.integers(0, 3), max_size=8).map(
        lambda steps: [hash(tuple(steps[: at + 1])) for at in range(len(steps))]
    )


@given(st.lists(prompts(), max_size=40), prompts(), st.integers(1, 30))
def test_what_was_sent_of_late_is_found_and_no_more_is_kept_than_may_be(sent, asked, capacity):
    seen = Seen(capacity)
    for blocks in sent:
        seen.add(blocks)
        assert len(seen) <= 2 * capacity
        assert seen.match(blocks) == min(len(blocks), capacity)
    everything = {block for blocks in sent for block in blocks}
    naive = next((at for at, block in enumerate(asked) if block not in everything), len(asked))
    assert seen.match(asked) <= naive
    if len(everything) <= capacity and sum(map(len, sent)) <= capacity:
        assert seen.match(asked) == naive


def test_old_blocks_are_forgotten():
    seen = Seen(10)
    seen.add([1, 2, 3])
    for number in range(100, 121):
        seen.add([number])
    assert seen.match([1, 2, 3]) == 0
    assert seen.match([120]) == 1


def test_a_smaller_cache_is_heeded_from_the_next_prompt_on():
    seen = Seen(1000)
    seen.add(list(range(256)))
    seen.resize(4)
    for number in range(1000, 1010):
        seen.add([number])
    assert len(seen) <= 8
