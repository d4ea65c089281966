"""Items that are shown: hidden secrets, tags, and nothing serialised twice."""

from hashlib import sha256

import orjson
import pytest

from marchproxy.manager.api.etags import etag_of, names
from marchproxy.manager.api.shelves import Shelves
from marchproxy.manager.api.shown import shown_change, shown_conflict
from marchproxy.model.changes import Change, Conflict
from tests.unit.manager.api.documents import current

SECRET = {"id": "tv", "rtmp": {"push": ["rtmp://cdn.example/live/sk-123"]}}
SHOP = {"id": "shop", "path": {"prefix": "/shop"}}


def fingerprint(data: bytes) -> str:
    return sha256(b"key" + data).hexdigest()


def test_what_stays_is_serialised_once():
    shelves = Shelves(fingerprint)
    before = shelves.shelf(current({"routes": [SHOP, SECRET]}), "routes").all()
    after = shelves.shelf(current({"routes": [{"id": "new"}, SECRET, SHOP]}), "routes").all()
    assert [one.key for one in after] == ["new", "tv", "shop"]
    assert after[1] is before[1]
    assert after[2] is before[0]


def test_the_last_pages_are_kept():
    shelf = Shelves(fingerprint).shelf(current({"routes": [SHOP]}), "routes")
    assert shelf.page("a", lambda: b"1") is shelf.page("a", lambda: b"2")
    for name in "bcde":
        shelf.page(name, lambda: b"x")
    assert shelf.page("a", lambda: b"2") == b"2"


def test_the_same_revision_has_the_same_shelf():
    shelves, revision = Shelves(fingerprint), current({"routes": [SHOP]})
    assert shelves.shelf(revision, "routes") is shelves.shelf(revision, "routes")
    assert shelves.shelf(revision, "pools").all() == ()


def test_secrets_are_hidden_in_what_is_shown_and_kept_in_what_is_not():
    shelf = Shelves(fingerprint).shelf(current({"routes": [SECRET]}), "routes")
    shown = shelf.find("tv")
    assert b"sk-123" not in shown.body
    assert orjson.loads(shown.body) == shown.item
    assert shelf.raw("tv") is SECRET
    assert shelf.find("nothing") is None
    assert shelf.raw("nothing") is None


def test_the_whole_document():
    revision = current({"pools": [{"endpoints": [], "name": "p"}], "routes": [SHOP, SECRET]})
    shelves = Shelves(fingerprint)
    document = shelves.document(revision)
    assert orjson.loads(shelves.whole(revision)) == document
    assert list(document) == ["routes", "pools"]  # in the order of sections
    assert next(iter(document["pools"][0])) == "name"
    assert "sk-123" not in str(document)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ("*", True),
        ('"b"', False),
        ("a", False),
        ("", False),
    ],
)
def test_conditions(header, expected):
    assert names(header, '"a"') is expected
    assert names(header, None) is False


def test_a_secret_is_part_of_the_tag_and_nobody_can_tell_which():
    shelves = Shelves(fingerprint)
    before = shelves.shelf(current({"routes": [SHOP, SECRET]}), "routes")
    other = {"id": "tv", "rtmp": {"push": ["rtmp://cdn.example/live/sk-124"]}}
    after = shelves.shelf(current({"routes": [SHOP, other]}), "routes")
    assert after.find("tv").body == before.find("tv").body
    assert after.find("tv").etag != before.find("tv").etag
    plain = orjson.dumps(SECRET, option=orjson.OPT_SORT_KEYS)
    assert before.find("tv").etag == f'"{fingerprint(plain)}"'
    assert before.find("shop").etag == etag_of(before.find("shop").body)


def test_tags_differ_where_bodies_do():
    assert etag_of(b"a") != etag_of(b"b")
    assert etag_of(b"a") == etag_of(b"a")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("routes/tv", SECRET),
        ("routes/tv.rtmp", SECRET["rtmp"]),
        ("guardrails/a.b.url", "https://user:sk-123@x/"),
    ],
)
def test_conflicts_hide_secrets(path, value):
    shown = shown_conflict(Conflict(path, value, None))
    assert "sk-123" not in str(shown)
    assert "***" in str(shown["ours"])
    assert shown["theirs"] is None


def test_changes_hide_secrets():
    change = shown_change(Change("routes", "tv", "changed", SECRET, None, ("rtmp",)))
    assert "sk-123" not in str(change)
    assert change.fields == ("rtmp",)
