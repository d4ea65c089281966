"""A pace as it is typed into a form. Pure."""

from dataclasses import replace

from marchproxy.manager.operating import Pace
from marchproxy.model.judging import RolloutLimits
from marchproxy.model.problem import Problem

_MOST_STEPS = 20


def read_pace(steps: str, interval: str, fewest: str, errors: str, factor: str) -> Pace | tuple[Problem, ...]:
    """The pace, or every fault of what was typed."""
    problems: list[Problem] = []
    shares = _shares(steps, problems)
    limits = replace(
        RolloutLimits(),
        interval=_number("seconds for each", interval, problems, least=1),
        min_requests=int(_number("requests at least", fewest, problems, least=1)),
        max_error_percent=_number("errors at most", errors, problems, most=100),
        max_p99_factor=_number("p99, times baseline", factor, problems),
        steps=shares,
    )
    return tuple(problems) or Pace(steps=shares, limits=limits)


def _shares(text: str, problems: list[Problem]) -> tuple[int, ...]:
    words = text.replace("%", " ").replace(",", " ").split()
    if not all(word.isdigit() and len(word) <= 3 for word in words) or len(words) > _MOST_STEPS:
        problems.append(
            Problem(
                "steps", f"write at most {_MOST_STEPS} whole percents with commas between, such as 5, 25, 100"
            )
        )
        return ()
    shares = tuple(int(word) for word in words)
    if list(shares) != sorted(set(shares)) or any(not 0 < share <= 100 for share in shares):
        problems.append(Problem("steps", "each is more than the one before, from 1 to 100"))
    return shares


def _number(name: str, text: str, problems: list[Problem], *, least: float = 0.0, most: float = 1e6) -> float:
    try:
        value = float(text or 0)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        problems.append(Problem(name, f"a number from {least:g} to {most:g}"))
        return least
    return value
