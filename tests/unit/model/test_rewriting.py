import pytest

from marchproxy.model.http import Rewrite
from marchproxy.model.rewriting import rewritten_path
from marchproxy.model.route import PathKind, PathMatch

PREFIX, EXACT, TEMPLATE, REGEX = PathKind.PREFIX, PathKind.EXACT, PathKind.TEMPLATE, PathKind.REGEX


@pytest.mark.parametrize(
    ("kind", "value", "rewrite", "path", "expected"),
    [
        (PREFIX, "/api", Rewrite(path="/"), "/api/x", "/x"),
        (PREFIX, "/api", Rewrite(path="/"), "/api", "/"),
        (PREFIX, "/api", Rewrite(path="/"), "/api/", "/"),
        (PREFIX, "/api/", Rewrite(path="/v2/"), "/api/x", "/v2/x"),
        (PREFIX, "/", Rewrite(path="/v2"), "/x", "/v2/x"),
        (PREFIX, "/api", Rewrite(host="a"), "/api/x", "/api/x"),
        (EXACT, "/a", Rewrite(path="/b"), "/a", "/b"),
        (TEMPLATE, "/a/{x}/{y=**}", Rewrite(path="/{y}/of/{x}"), "/a/1/2/3", "/2/3/of/1"),
        (REGEX, "/v.*", Rewrite("", "/\\2/\\1\\\\", "^/v([0-9]+)/(.*)$"), "/v7/b", "/b/7\\"),
        (PREFIX, "/", Rewrite("", "-\\0-", "[0-9]"), "/a1b2", "/a-1-b-2-"),  # each match
        (PREFIX, "/", Rewrite("", "x\\1", "b(c)?"), "/ab", "/ax"),  # a group that took no part
    ],
)
def test_what_becomes_of_a_path(kind, value, rewrite, path, expected):
    assert rewritten_path(rewrite, PathMatch(kind, value), path) == expected
