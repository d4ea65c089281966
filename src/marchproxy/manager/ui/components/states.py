"""What is shown instead of, or above, the usual: nothing there yet, old figures, refusals, work under way. Pure."""

from collections.abc import Iterable

from markupsafe import Markup

from marchproxy.manager.ui.components.icons import icon
from marchproxy.manager.ui.components.markup import Child, joined, tag
from marchproxy.manager.ui.components.words import span
from marchproxy.model.problem import Problem

#: Problems that are listed; of more it is said how many.
MOST_PROBLEMS = 20


def empty(title: str, text: str, *, picture: str, action: Markup | None = None) -> Markup:
    """EmptyState: what would be here, and how it gets here."""
    return tag("div", icon(picture), tag("strong", title), tag("p", text), action, class_="empty")


def stale(age: float, *, lost: Iterable[str] = ()) -> Markup | None:
    """StaleBanner: figures are `age` seconds old; None while they are new enough."""
    names = ", ".join(lost)
    if age < 10 and not names:
        return None
    what = f"No answer from {names}. " if names else ""
    text = f"{what}Figures are {span(age)} old; traffic goes on as it did." if age >= 10 else what
    return banner("warn", "alert", tag("strong", "Not up to date. "), text)


def refusal(title: str, problems: Iterable[Problem | str], *, remedy: str = "") -> Markup:
    """ErrorPanel: what was refused, each fault with its path, and what to do."""
    lines = [_fault(problem) for problem in problems]
    listed = tag("ul", lines[:MOST_PROBLEMS]) if lines else None
    more = len(lines) - MOST_PROBLEMS
    rest = tag("p", f"and {more} more") if more > 0 else None
    return banner("bad", "stop", tag("strong", title), listed, rest, tag("p", remedy) if remedy else None)


def banner(tone: str, picture: str, *words: Child) -> Markup:
    """A line across the page."""
    return tag(
        "div",
        icon(picture),
        tag("div", words),
        class_=f"banner {tone}",
        role="alert" if tone == "bad" else "status",
    )


def _fault(problem: Problem | str) -> Markup:
    if isinstance(problem, str):
        return tag("li", problem)
    return tag("li", joined(tag("code", problem.path), problem.message) if problem.path else problem.message)
