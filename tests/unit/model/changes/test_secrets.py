"""What is hidden of a document, and how it comes back."""

from typing import Any

import pytest

from marchproxy.model.changes import hidden, redact, unredact


def pushing(*urls: str) -> dict[str, Any]:
    return {"routes": [{"id": "tv", "rtmp": {"push": list(urls)}}]}


def setting(name: str, value: Any, how: str = "set") -> dict[str, Any]:
    return {"routes": [{"id": "shop", "request_headers": {how: {name: value}}}]}


SECRET = [
    (pushing("rtmp://cdn.example/live/sk-1"), pushing("rtmp://cdn.example/live/***")),
    (pushing("rtmp://cdn.example/live/sk-1/"), pushing("rtmp://cdn.example/live/***/")),
    (pushing("rtmp://cdn.example/a/b/sk-1?token=t"), pushing("rtmp://cdn.example/a/b/***?***")),
    (pushing("rtmps://cdn.example/in/{stream}?key=k"), pushing("rtmps://cdn.example/in/{stream}?***")),
    (pushing("rtmp://cdn.example/in/{stream}-k"), pushing("rtmp://cdn.example/in/***")),
    (setting("Authorization", "Bearer x"), setting("Authorization", "***")),
    (setting("x-api-key", "x"), setting("x-api-key", "***")),
    (setting("X-Auth-Token", ["x", "y"], "add"), setting("X-Auth-Token", ["***", "***"], "add")),
    (
        {"authentication": [{"name": "a", "url": "https://u:p@auth.example/check?k=v"}]},
        {"authentication": [{"name": "a", "url": "https://***@auth.example/check?***"}]},
    ),
    (
        {"authentication": [{"name": "a", "jwks_url": "https://u:p@auth.example/keys"}]},
        {"authentication": [{"name": "a", "jwks_url": "https://***@auth.example/keys"}]},
    ),
    (
        {"guardrails": [{"name": "g", "url": "https://u@guard.example/"}]},
        {"guardrails": [{"name": "g", "url": "https://***@guard.example/"}]},
    ),
]
OPEN = [
    pushing("rtmp://cdn.example/in/{stream}"),
    pushing("rtmp://cdn.example/in/{app}{stream}"),
    setting("X-Forwarded-Prefix", "/shop"),
    {"authentication": [{"name": "a", "url": "https://auth.example/check"}]},
    {"pools": [{"name": "p", "endpoints": [{"address": "127.0.0.1:1"}]}]},
]


@pytest.mark.parametrize(("document", "shown"), SECRET)
def test_secrets_are_hidden_and_come_back(document, shown):
    assert redact(document) == shown
    assert unredact(shown, document) == document
    assert len(hidden(shown)) >= 1
    assert hidden(document) == ()


@pytest.mark.parametrize("document", OPEN)
def test_what_has_no_secret_stays_the_same_object(document):
    shown = redact(document)
    assert shown == document
    ((items, originals),) = zip(shown.values(), document.values(), strict=True)
    assert items[0] is originals[0]


KNOWN = pushing("rtmp://a.example/x/k1", "rtmp://b.example/x/k2")


@pytest.mark.parametrize(
    ("edited", "restored"),
    [
        # another order, one less, one more
        (
            pushing("rtmp://b.example/x/***", "rtmp://a.example/x/***"),
            pushing("rtmp://b.example/x/k2", "rtmp://a.example/x/k1"),
        ),
        (pushing("rtmp://b.example/x/***"), pushing("rtmp://b.example/x/k2")),
        (
            pushing("rtmp://c.example/x/k3", "rtmp://a.example/x/***"),
            pushing("rtmp://c.example/x/k3", "rtmp://a.example/x/k1"),
        ),
        # what was never shown stays hidden: a secret does not go to another host
        (pushing("rtmp://evil.example/x/***"), pushing("rtmp://evil.example/x/***")),
        (
            {"routes": [{"id": "new", "rtmp": {"push": ["***"]}}]},
            {"routes": [{"id": "new", "rtmp": {"push": ["***"]}}]},
        ),
        # whatever else it may be, it is somebody else's to refuse
        ({"routes": "***"}, {"routes": "***"}),
        ({"routes": ["***"]}, {"routes": ["***"]}),
        ({"other": ["***"]}, {"other": ["***"]}),
    ],
)
def test_what_comes_back(edited, restored):
    assert unredact(edited, KNOWN) == restored


def test_two_that_look_alike_come_back_only_where_they_stood():
    known = pushing("rtmp://a.example/x/k1", "rtmp://a.example/x/k2")
    shown = pushing("rtmp://a.example/x/***", "rtmp://a.example/x/***")
    assert unredact(shown, known) == known
    one = pushing("rtmp://a.example/x/***")
    assert unredact(one, known) == one
    assert hidden(one) == ("routes[0].rtmp.push[0]",)
