"""What people are told when something was not done: the reason, each fault with its path, and what to do now. Pure."""

from markupsafe import Markup

from marchproxy.manager.access import AccessError, WeakPassword
from marchproxy.manager.operating import NotDone
from marchproxy.manager.revising import Busy, Conflicts, PartsRefused
from marchproxy.manager.ui.components.states import refusal
from marchproxy.model.problem import InvalidValue, Problem, Refused
from marchproxy.store import StoreUnavailable

#: What refuses with words for people; anything else is a fault of ours.
FAILURES = (
    AccessError, WeakPassword, NotDone, Busy, Conflicts, InvalidValue, Refused, StoreUnavailable, TimeoutError,
)  # fmt: skip

_UNCHANGED = "Nothing was changed."


def told(error: BaseException) -> Markup:
    """The error as a panel."""
    match error:
        case Conflicts():
            title = f"Revision {error.head.number} by {error.head.author.name} changed the same meanwhile"
            problems = [Problem(one.path, "was changed by both") for one in error.conflicts]
            return refusal(
                title,
                problems,
                remedy=f"{_UNCHANGED} Load it again, look at what is new, and save once more.",
            )
        case InvalidValue():
            return refusal("This cannot be put in force", error.problems, remedy=_UNCHANGED)
        case PartsRefused():
            names = ", ".join(part.name for part in error.parts if part.problems)
            return refusal(
                f"Refused by {names}",
                error.problems,
                remedy=f"{_UNCHANGED} Every part runs what it ran before.",
            )
        case TimeoutError():
            words = "It took too long, and what became of it is not known here. The list of revisions tells."
            return refusal("No answer in time", [words])
        case Refused():
            return refusal("Refused", error.problems or [error.message], remedy=_UNCHANGED)
        case _:
            return refusal("Not done", [str(error)])
