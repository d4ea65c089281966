"""Navigation: the pages by name, with the letter that goes there after `g`. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from marchproxy.manager.ui.components.icons import icon
from marchproxy.manager.ui.components.markup import tag


@dataclass(frozen=True, slots=True)
class Place:
    """One entry. `counted` is the section of the document whose items are counted beside it."""

    title: str
    href: str
    picture: str
    letter: str
    counted: str = ""


GROUPS: Mapping[str, tuple[Place, ...]] = {
    "": (Place("Overview", "/", "overview", "o"),),
    "Traffic": (
        Place("Listeners", "/listeners", "listeners", "i", "listeners"),
        Place("Routes", "/routes", "routes", "r", "routes"),
        Place("Pools", "/pools", "pools", "p", "pools"),
        Place("Rollouts", "/rollouts", "rollouts", "c"),
        Place("Rate limits", "/limits", "limits", "l", "rate_limits"),
    ),
    "Fleet": (
        Place("Modules", "/modules", "modules", "m"),
        Place("Scaling", "/scaling", "scaling", "s"),
    ),
    "History": (
        Place("Revisions", "/revisions", "revisions", "v"),
        Place("Activity", "/activity", "activity", "a"),
    ),
    "Access": (
        Place("Users", "/users", "users", "u"),
        Place("API keys", "/keys", "keys", "k"),
        Place("Settings", "/settings", "settings", "e"),
    ),
}


def navigation(here: str, counts: Mapping[str, int]) -> Markup:
    """The side of every page; `here` is the address of the entry that one is at."""
    return tag("nav", [child for title, places in GROUPS.items() for child in _group(title, places, here, counts)],
               aria_label="Pages")  # fmt: skip


def places() -> Iterator[Place]:
    """All of them."""
    for group in GROUPS.values():
        yield from group


def _group(title: str, group: tuple[Place, ...], here: str, counts: Mapping[str, int]) -> Iterator[Markup]:
    if title:
        yield tag("h3", title)
    for place in group:
        number = counts.get(place.counted)
        yield tag(
            "a", icon(place.picture), tag("span", place.title),
            tag("span", f"{number:,}", class_="count") if number is not None else None,
            href=place.href, aria_current="page" if place.href == here else None, title=f"g {place.letter}",
        )  # fmt: skip
