"""Numbers that are taken out of streams."""

import json

import pytest

from marchproxy.modules.ailb.relay.stripping import Strip, strip

USAGE = '{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":0}}'
PLAIN = b'data: {"id":"x","choices":[{"delta":{"content":"\\"usage\\":null}"}}]}\n\n'
LAST = f'data: {{"id":"x","choices":[],"usage":{USAGE}}}\n\n'.encode()
DONE = b"data: [DONE]\n\n"


def with_usage(usage, place="end", space=""):
    said = f'"choices":{space}[{{"delta":{{"content":"a"}}}}]'
    parts = [said, f'"usage":{space}{usage}'] if place == "end" else [f'"usage":{space}{usage}', said]
    return f"data: {{{f',{space}'.join(parts)}}}\n\n".encode()


def members(data):
    lines = data.decode().split("\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


@pytest.mark.parametrize("space", ["", " "])
@pytest.mark.parametrize("place", ["end", "front"])
@pytest.mark.parametrize(
    "usage", [USAGE, "null", '{"prompt_tokens":1}', '{"a":{"b":{"c":1}}}', '{"words":"}{"}']
)
@pytest.mark.parametrize("how", [Strip.EACH, Strip.ALL])
def test_no_event_tells_what_was_used(usage, place, space, how):
    data = with_usage(usage, place, space) * 2 + PLAIN
    found = members(strip(data, how))
    assert all(event.get("usage") is None for event in found)
    assert [event["choices"] for event in found] == [event["choices"] for event in members(data)]


@pytest.mark.parametrize(
    ("how", "found"),
    [
        (Strip.NOTHING, with_usage(USAGE) + LAST + DONE),
        (Strip.EACH, with_usage("null").replace(b',"usage":null', b"") + LAST + DONE),
        (Strip.ALL, with_usage("null").replace(b',"usage":null', b"") + DONE),
    ],
)
def test_the_last_one_stays_for_who_wants_it(how, found):
    assert strip(with_usage(USAGE) + LAST + DONE, how) == found


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        DONE,
        b': "usage"\n\n',
        b'data: "usage" nonsense\n\n',
        b'event: x\ndata: {"usage":1,"choices":[]}\n\n',
        b"",
    ],
)
def test_what_tells_nothing_is_left_as_it_is(data):
    assert strip(data, Strip.ALL) == data
