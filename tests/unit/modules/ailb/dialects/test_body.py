"""JSON as it came, and one member of it changed."""

import json

import pytest

from marchproxy.modules.ailb.dialects.body import BadJson, Body, dump, load, load_object

SENT = b' { "model" : "a\\u0041" , "temperature":1.10, "n":1e2,"t":[1, 2 ],"o":{"model":"inner"}} \n'


def test_what_is_not_changed_keeps_its_bytes():
    body = Body.read(SENT)
    assert body.members == json.loads(SENT)
    assert body.replaced({}) == SENT
    assert body.replaced({"model": "gpt"}) == SENT.replace(b'"a\\u0041"', b'"gpt"')
    assert body.replaced({"t": None, "model": "x"}) == SENT.replace(b'"a\\u0041"', b'"x"').replace(
        b"[1, 2 ]", b"null"
    )
    assert body.raw("t") == "[1, 2 ]"
    assert body.raw("none") == ""


@pytest.mark.parametrize("before", ["", "a", "\u00fc\u20ac", "\U0001f600"])
def test_a_value_stands_at_a_place_in_the_bytes(before):
    data = f'{{"x":"{before}", "model" : "\u00e4", "n":1}}'.encode()
    start, end = Body.read(data).place("model")
    assert data[start:end] == '"\u00e4"'.encode()
    assert Body.read(data).place("none") == (0, 0)


@pytest.mark.parametrize("data", [b'{"a":"x", "model": "m"}', '{"a":"ü😀", "model": "ü"}'.encode()])
def test_places_are_in_bytes(data):
    start, end = Body.read(data).place("model")
    assert data[start:end] == dump(Body.read(data).members["model"])
    assert Body.read(data).place("none") == (0, 0)


def test_what_is_new_is_added_at_the_end():
    assert Body.read(b'{"a":1 }').replaced({"b": True, "c": "\u00fc"}) == '{"a":1,"b":true,"c":"ü" }'.encode()
    assert Body.read(b" { } ").replaced({"b": 1}) == b' { "b":1} '


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no object"),
        (b"[]", "no object"),
        (b'"a"', "no object"),
        (b"{", '" is missing'),
        (b'{"a"', ": is missing"),
        (b'{"a":', "Expecting value"),
        (b'{"a":}', "Expecting value"),
        (b'{"a":1,}', '" is missing'),
        (b'{"a":1 "b":2}', ", is missing"),
        (b"{a:1}", '" is missing'),
        (b'{"a":1} x', "something follows"),
        (b'{"a":1}{"a":1}', "something follows"),
        (b'{"model":"a","model":"b"}', "'model' is there twice"),
        (b'{"model":"a","m\\u006fdel":"b"}', "'model' is there twice"),
        (b'{"a":NaN}', "NaN is no JSON"),
        (b'{"a":[-Infinity]}', "-Infinity is no JSON"),
        (b'{"a":1e999}', "too large"),
        (b'{"a":' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"a":"\xff"}', "not UTF-8 at byte 6"),
        (b'\xff\xfe{\0"\0a\0"\0:\x001\0}\0', "not UTF-8 at byte 0"),
        (b'{"a":"\n"}', "control character"),
        (b'{"a":' + b"[" * 100_000, "too deep"),
    ],
)
def test_what_is_not_taken_says_why(data, words):
    with pytest.raises(BadJson, match=words.replace("[", "\\[")):
        Body.read(data)


@pytest.mark.parametrize("data", [b"", b"{", b"NaN", b"\xff", b"1e999", b"[" * 100_000, b"[]", b"9" * 5000])
def test_nor_is_any_of_it_without_spans(data):
    with pytest.raises(BadJson):
        load_object(data)


@pytest.mark.parametrize("value", [{"a": "ü\U0001f600"}, {"a": "\ud83d"}, [1, 2.5, None, True]])
def test_values_are_written_so_that_they_are_read_again(value):
    assert load(dump(value)) == value


def test_what_is_nested_too_deep_to_be_written_is_said():
    value: list = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(BadJson, match="too deep"):
        dump(value)
