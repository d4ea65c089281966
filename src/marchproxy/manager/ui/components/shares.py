"""Weights: a bar of who gets how much, with the same in words. Pure."""

from collections.abc import Sequence

from markupsafe import Markup

from marchproxy.manager.ui.components.markup import tag


def shares(parts: Sequence[tuple[str, int]]) -> Markup:
    """Names with their percent, in the order in which they are written."""
    bar = tag(
        "div", [tag("i", style=f"width:{weight}%") for _, weight in parts], class_="bar", aria_hidden="true"
    )
    words = [tag("span", f"{name} {weight}\u202f%") for name, weight in parts]
    return tag("div", bar, tag("div", words, class_="legend"), class_="shares")
