"""Secrets of a document: hidden where it is shown, and put back where what was shown comes in again.

What a document can hold of them: stream keys and passwords in URLs, and credentials in headers that routes set. Keys,
passwords and certificates otherwise stand in files, of which it has the names; a virtual key is there as its hash.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from marchproxy.model.changes.plain import SECTIONS, Document, Item, items_by_key

#: What stands in a secret's place.
HIDDEN: Final = "***"
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/?#@]*@")
_TOLD_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/?#@\s]*@")
_QUERY = re.compile(r"(?P<before>\?)[^#]+")
_LAST_SEGMENT = re.compile(r"(?P<before>://[^/]+/(?:[^?#]*/)?)(?P<key>[^/?#]+)(?P<slash>/?)(?=$|[?#])")
_REPLACED = re.compile(r"(\{(vhost|app|stream)\})+")
_TELLING = re.compile(r"authoriz|cookie|token|secret|passw|credential|api-?key|signature", re.IGNORECASE)
_Hide = Callable[[str, str], str]


def redact(document: Document) -> Document:
    """The document without its secrets. Items that have none are the same objects."""
    return {section: [redact_item(section, item) for item in items] for section, items in document.items()}


def redact_item(section: str, item: Item) -> Item:
    """One item of a section without its secrets; the same object when it has none."""
    match section:
        case "routes":
            return _route(item)
        case "authentication" | "guardrails":
            return _changed(item, dict.fromkeys(("url", "jwks_url"), _hide_url))
        case _:
            return item


def without_userinfo(text: str) -> str:
    """A text, such as what is said of a fault, without the passwords of the URLs in it."""
    return _TOLD_USERINFO.sub(rf"\g<scheme>{HIDDEN}@", text)


def unredact(document: Document, known: Document) -> Document:
    """The document with what is hidden in it put back, from the item of the same name in `known`.

    What `known` cannot tell stays hidden: `hidden` finds it, and it must not be put in force.
    """
    return {
        section: _put_back_section(section, items, known)
        if section in SECTIONS and isinstance(items, list | tuple)
        else items
        for section, items in document.items()
    }


def hidden(document: Document, sound: Document | None = None) -> tuple[str, ...]:
    """The paths of secrets that are still hidden: `routes[2].rtmp.push[0]`. Nobody looks at objects that are in `sound`."""
    known = {id(item) for items in (sound or {}).values() for item in items}
    return tuple(
        path
        for section, items in document.items()
        for number, item in enumerate(items if isinstance(items, list | tuple) else ())
        if id(item) not in known
        for path in _paths(f"{section}[{number}]", item)
    )


def _route(item: Item) -> Item:
    found = item
    for name in ("request_headers", "response_headers"):
        if isinstance(edits := item.get(name), Mapping):
            found = _with(found, name, _header_edits(edits))
    if isinstance(rtmp := item.get("rtmp"), Mapping):
        found = _with(found, "rtmp", _changed(rtmp, {"push": _hide_stream_url}))
    return found


def _header_edits(edits: Item) -> Item:
    found = edits
    for name in ("set", "add"):
        values = edits.get(name)
        if isinstance(values, Mapping):
            telling = {header: _hide_all for header in values if _TELLING.search(str(header))}
            found = _with(found, name, _changed(values, telling))
    return found


def _changed(item: Item, hide: Mapping[str, Callable[[str], str]]) -> Item:
    found = item
    for name, change in hide.items():
        value = item.get(name)
        if isinstance(value, str):
            found = _with(found, name, change(value))
        elif isinstance(value, list | tuple):
            found = _with(found, name, [change(one) if isinstance(one, str) else one for one in value])
    return found


def _with(item: Item, name: str, value: Any) -> Item:
    return item if item.get(name) == value else {**item, name: value}


def _hide_all(value: str) -> str:
    return HIDDEN if value else value


def _hide_url(value: str) -> str:
    """Userinfo and query of a URL; other texts, such as the names of checks, stay."""
    if "://" not in value:
        return value
    return _QUERY.sub(rf"\g<before>{HIDDEN}", _USERINFO.sub(rf"\g<scheme>{HIDDEN}@", value))


def _hide_stream_url(value: str) -> str:
    """The last segment as well: where streams are pushed to, it is the key, unless it is made of the stream's name."""
    shown = _hide_url(value)
    segment = _LAST_SEGMENT.search(shown)
    if segment is None or _REPLACED.fullmatch(segment["key"]):
        return shown
    return f"{shown[: segment.start('key')]}{HIDDEN}{shown[segment.end('key') :]}"


def _put_back_section(section: str, items: Sequence[Item], known: Document) -> Sequence[Item]:
    same = {id(item) for item in known.get(section, ())}
    if all(id(item) in same for item in items):
        return items
    key, originals = SECTIONS[section], items_by_key(known, section)
    return [
        _put_back_item(section, item, originals.get(str(item.get(key))))
        if id(item) not in same and isinstance(item, dict)
        else item
        for item in items
    ]


def _put_back_item(section: str, item: Item, known: Item | None) -> Item:
    if known is None or not _holds(item):
        return item
    restored = _put_back(item, known, redact_item(section, known))
    return restored if isinstance(restored, Mapping) else item


def _put_back(value: Any, known: Any, shown: Any) -> Any:
    """`known` and `shown` are the same thing, with and without its secrets."""
    if isinstance(value, Mapping) and isinstance(known, Mapping):
        return {
            name: _put_back(one, known[name], shown[name]) if name in known else one
            for name, one in value.items()
        }
    if isinstance(value, list | tuple) and isinstance(known, list | tuple):
        return [_known_one(number, value, known, shown) for number in range(len(value))]
    if isinstance(value, str) and HIDDEN in value and value == shown:
        return known
    return value


def _known_one(number: int, value: Sequence[Any], known: Sequence[Any], shown: Sequence[Any]) -> Any:
    """One of a list: by its place, else by what it looks like, where only one looks so."""
    one = value[number]
    if not isinstance(one, str) or HIDDEN not in one:
        return one
    alike = [secret for text, secret in zip(shown, known, strict=True) if text == one]
    if len(alike) == 1:
        return alike[0]
    return known[number] if alike and len(value) == len(known) and shown[number] == one else one


def _holds(value: Any) -> bool:
    return next(_paths("", value), None) is not None


def _paths(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if HIDDEN in value:
            yield path
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _paths(f"{path}.{name}", one)
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value):
            yield from _paths(f"{path}[{number}]", one)
