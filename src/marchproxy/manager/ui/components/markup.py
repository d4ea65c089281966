"""HTML as values: what is given as text is escaped, what is Markup is not. Pure."""

from collections.abc import Iterable
from urllib.parse import quote

from markupsafe import Markup, escape

Child = str | Markup | int | None | Iterable["Child"]
Attribute = str | int | float | bool | None

_VOID = frozenset({"br", "hr", "img", "input"})


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """An element. `class_` is written class, `data_key` data-key; an attribute that is None or False is left out."""
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return _sound(f"<{name}{written}>")
    return _sound(f"<{name}{written}>{joined(*children)}</{name}>")


def joined(*children: Child) -> Markup:
    """What is given, one after the other; None is nothing."""
    return _sound("".join(_written(child) for child in children))


def _sound(text: str) -> Markup:
    return Markup(text)  # noqa: S704 - each part of it is Markup, or was escaped


def _written(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, str | int):
        return str(escape(child))
    return "".join(_written(item) for item in child)


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(value)}"'


def address(*parts: str) -> str:
    """The address of a page, whatever is in the names that it is made of."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def act_button(word: str, act: str, key: str, *, lacking: str = "", kind: str = "slim") -> Markup:
    """A button of a part that is drawn, whose `on_act` hears of it. `lacking` is why it cannot be pressed."""
    return tag(
        "button", word, type="button", class_=f"button {kind}", data_act=act, data_key=key,
        aria_disabled="true" if lacking else None, title=lacking or None, aria_label=f"{word} {key}" if key else None,
    )  # fmt: skip
