"""APIs of language models: any JSON as a request, any events as an answer, and streams cut anywhere."""

import copy
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.ai import Dialect, Provider
from marchproxy.modules.ailb.dialects import prompt, rewriting, usage
from marchproxy.modules.ailb.dialects.asked import Asked, read
from marchproxy.modules.ailb.dialects.body import BadJson, Body, dump, load
from marchproxy.modules.ailb.dialects.failure import Failure, failure_of
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.translate.answers import NoAnswer
from marchproxy.modules.ailb.translate.exchange import Exchange, Request, is_needed
from marchproxy.wire.sse import Event, Events, write
from tests.unit.modules.ailb.translate.rig import CASES, Case

cases = [Case.at(path) for path in CASES]
streams = [case for case in cases if case.streamed]
answers = [case for case in cases if not case.streamed]
words = st.sampled_from(
    ["type", "text", "image_url", "url", "data:image/png;base64,AA", "role", "user", "assistant", "tool", "function", "arguments", "input", "content", "name", "id", "index", "usage", "message", "error", "choices", "delta", "finish_reason", "stop", "tool_use", "tool_calls", "message_start"]
)  # fmt: skip
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | words,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=12,
)
sizes = st.lists(st.integers(0, 40), max_size=30)
posts = st.sampled_from([operation for operation in Operation if operation.path])


@st.composite
def mutated(draw, documents):
    """One of the documents, with values of it replaced by others, or taken away."""
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(0, 3))):
        container, key = draw(st.sampled_from(places(document)))
        if isinstance(container, dict) and draw(st.booleans()):
            container.pop(key)
        else:
            container[key] = draw(json_values)
    return document


def places(document):
    """Every place in a document where a value stands."""
    holder, found = [document], []
    stack = [(holder, 0)]
    while stack:
        container, key = stack.pop()
        found.append((container, key))
        value = container[key]
        if isinstance(value, dict):
            stack += [(value, name) for name in value]
        elif isinstance(value, list):
            stack += [(value, at) for at in range(len(value))]
    return [(container, key) for container, key in found if container is not holder] or [(holder, 0)]


def cut(data, sizes):
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


def events_of(pieces):
    machine, found = Events(), []
    for piece in pieces:
        found += machine.feed(piece)
    return found + machine.end()


noise = st.lists(
    st.sampled_from([b"data:", b"data: ", b"event: x", b"id: 1", b":", b"\r", b"\n", b"\r\n", b"\xef\xbb\xbf", b'"usage"'])
    | st.binary(max_size=6),
    max_size=30,
).map(b"".join)  # fmt: skip


@given(noise, sizes)
def test_events_are_the_same_however_they_come(stream, sizes):
    assert events_of(cut(stream, sizes)) == events_of([stream])


@given(
    st.lists(
        st.builds(Event, noise, st.just(b"ping") | st.just(b""), st.just(b"7") | st.just(b"")), max_size=5
    ),
    sizes,
)
def test_events_that_are_written_are_read(events, sizes):
    wanted = [Event(re.sub(rb"\r\n|\r", b"\n", event.data), event.event, event.id) for event in events]
    machine, found = Events(), []
    for piece in cut(b"".join(map(write, events)), sizes):
        found += machine.feed(piece)
    assert found == wanted
    assert machine.between


@given(posts, st.binary(max_size=60) | json_values.map(dump))
def test_any_request_is_read_or_is_at_fault(operation, data):
    check(operation, read(operation, data))


@given(st.data())
def test_so_is_one_that_is_almost_right(data):
    case = data.draw(st.sampled_from(cases))
    members = data.draw(mutated([case.body]))
    check(case.operation, read(case.operation, dump(members)))


def check(operation, found):
    """What was read can be looked at, changed, and said in other words; or it is at fault in its own."""
    if isinstance(found, Failure):
        assert found.status(operation.dialect) == 400
        assert load(found.body(operation.dialect))
        return
    assert isinstance(found, Asked)
    assert found.estimate() >= 0
    assert all(text.encode() for text in found.texts())
    assert json.loads(prompt.changed(operation, found.body, str.upper).text)
    changed = load(rewriting.request(found, model="other", usage=True, each=True))
    assert changed == found.body.members | {
        name: changed[name] for name in ("model", "stream_options") if name in changed
    }
    for provider in Provider:
        if is_needed(operation, provider):
            answer = Exchange(found, provider).request(model="other", default_output=5)
            assert isinstance(answer, Request | Failure)
            assert load(answer.body if isinstance(answer, Request) else answer.body(operation.dialect))


@given(st.dictionaries(st.text(max_size=4), json_values, max_size=5), st.text(max_size=4), json_values)
def test_a_member_is_replaced_and_no_other(members, name, value):
    sent = json.dumps(members, indent=1).encode()
    body = Body.read(sent)
    assert body.members == json.loads(sent)
    assert load(body.replaced({name: value})) == members | {name: value}


@given(st.text(alphabet='{}[]",:\\u0aeE+-.1tfn \n', max_size=40).map(str.encode))
def test_json_is_what_the_standard_library_takes_and_less(data):
    try:
        mine = Body.read(data).members
    except BadJson:
        return
    assert mine == json.loads(data)


@given(st.data())
def test_any_events_of_a_provider_give_events_or_a_failure(data):
    case = data.draw(st.sampled_from(streams))
    documents = [event.data for event in Events().feed((case.path / "provider.sse").read_bytes())]
    documents = [load(document) for document in documents if document != b"[DONE]"]
    order = data.draw(
        st.lists(st.sampled_from(range(len(documents))), max_size=12) | st.just(range(len(documents)))
    )
    stream, sent = case.exchange.stream(), []
    try:
        for at in order:
            sent += stream.feed(Event(dump(data.draw(mutated([documents[at]])))))
        sent += stream.end()
    except NoAnswer as no:
        sent += no.failure.events(case.operation.dialect)
    for event in sent:
        assert event.data == b"[DONE]" or isinstance(load(event.data), dict)
    assert stream.tally.usage is None or stream.tally.usage.total >= 0


@given(st.data())
def test_any_answer_of_a_provider_gives_one_or_a_failure(data):
    case = data.draw(st.sampled_from(answers))
    document = load((case.path / "provider.json").read_bytes())
    try:
        sent = case.exchange.answer(dump(data.draw(mutated([document]))))
    except NoAnswer as no:
        sent = no.failure.body(case.operation.dialect)
    assert load(sent)


@given(json_values | st.dictionaries(words, json_values), st.integers(100, 599))
def test_any_error_of_a_provider_is_one(document, status):
    failure = failure_of(status, dump(document))
    for dialect in Dialect:
        assert load(failure.body(dialect))


@given(st.lists(json_values | st.dictionaries(words, json_values), max_size=4))
def test_any_usage_is_a_number_or_none(documents):
    for dialect in Dialect:
        tally = usage.Tally(dialect)
        for document in documents:
            tally.see(dump(document))
        found = tally.usage
        assert found is None or (found.input >= found.cached >= 0 and found.output >= 0)
        assert rewriting.without_usage(dump(documents)) is not None


@pytest.mark.parametrize("case", streams, ids=lambda case: case.path.name)
@given(sizes=sizes)
def test_exchanges_mean_the_same_however_they_are_cut(case, sizes):
    events, machine, sent = Events(), case.exchange.stream(), []
    for piece in cut((case.path / "provider.sse").read_bytes(), sizes):
        for event in events.feed(piece):
            sent += machine.feed(event)
    sent += machine.end()
    assert b"".join(map(write, sent)) == case.answered()
