import pytest

from marchproxy.modules.rtmp.playback.reply import Content, cross_origin, preflight, reply_to

CONTENT = Content(1000, "tag", "video/mp4", lasting=True)


@pytest.mark.parametrize(
    ("asked", "status", "part", "said"),
    [
        ({}, 200, slice(0, 1000), None),
        ({"Range": "bytes=0-99"}, 206, slice(0, 100), "bytes 0-99/1000"),
        ({"Range": "bytes=900-"}, 206, slice(900, 1000), "bytes 900-999/1000"),
        ({"Range": "bytes=-100"}, 206, slice(900, 1000), "bytes 900-999/1000"),
        ({"Range": "bytes=-5000"}, 206, slice(0, 1000), "bytes 0-999/1000"),
        ({"Range": "bytes=999-5000"}, 206, slice(999, 1000), "bytes 999-999/1000"),
        ({"Range": "bytes=1000-"}, 416, None, "bytes */1000"),
        ({"Range": "bytes=-0"}, 416, None, "bytes */1000"),
        ({"Range": "bytes=5-2"}, 200, slice(0, 1000), None),
        ({"Range": "bytes=-"}, 200, slice(0, 1000), None),
        ({"Range": "bytes=0-1,5-6"}, 200, slice(0, 1000), None),  # several may be answered by all
        ({"Range": "lines=0-1"}, 200, slice(0, 1000), None),
        ({"Range": "bytes=0-99", "If-Range": '"tag"'}, 206, slice(0, 100), "bytes 0-99/1000"),
        ({"Range": "bytes=0-99", "If-Range": '"other"'}, 200, slice(0, 1000), None),
        ({"If-None-Match": '"tag"'}, 304, None, None),
        ({"If-None-Match": '"other", W/"tag"', "Range": "bytes=0-1"}, 304, None, None),
        ({"If-None-Match": "*"}, 304, None, None),
        ({"If-None-Match": '"other"'}, 200, slice(0, 1000), None),
    ],
)
def test_what_is_sent(asked, status, part, said):
    reply = reply_to(asked, CONTENT)
    assert (reply.status, reply.part, reply.headers.get("Content-Range")) == (status, part, said)


@pytest.mark.parametrize(
    ("content", "header"),
    [
        (CONTENT, "public, max-age=31536000, immutable"),
        (Content(1, "t", "x", lasting=True, private=True), "private, max-age=31536000, immutable"),
        (Content(1, "t", "x"), "public, max-age=1"),
        (Content(1, "t", "x", private=True), "private, max-age=1"),
    ],
)
def test_what_caches_may_keep(content, header):
    assert reply_to({}, content).headers["Cache-Control"] == header


@pytest.mark.parametrize(
    ("origin", "allowed", "header"),
    [
        ("https://a.example", ("*",), "*"),
        ("", ("*",), "*"),
        ("https://a.example", ("https://a.example", "https://b.example"), "https://a.example"),
        ("https://c.example", ("https://a.example",), None),
        ("https://A.c.example", ("https://*.c.example",), "https://A.c.example"),
        ("https://c.example", ("https://*.c.example",), None),
        ("https://c.example", (), None),
    ],
)
def test_whose_pages_may_read(origin, allowed, header):
    headers = cross_origin(origin, allowed)
    assert headers.get("Access-Control-Allow-Origin") == header
    assert (headers.get("Vary") == "Origin") is (bool(allowed) and "*" not in allowed)
    asked = preflight(origin, allowed)
    assert asked.status == 204
    assert ("Access-Control-Allow-Headers" in asked.headers) is (header is not None)
