"""Examining: whoever beside the parts has a say in what is put in force, such as a control plane that will serve it."""

from collections.abc import Iterable
from typing import Protocol

from marchproxy.manager.revising.drafting import Prepared
from marchproxy.manager.revising.outcome import PartOutcome, PartsRefused
from marchproxy.model.problem import Problem
from marchproxy.model.state import DesiredState


class Examiner(Protocol):
    """Looks at what is proposed; changes nothing."""

    @property
    def name(self) -> str:
        """What it is called where parts are listed."""
        ...

    async def examine(self, state: DesiredState, checksum: str, /) -> tuple[Problem, ...]:
        """What keeps it from serving a state, whose document has this checksum; empty: nothing."""
        ...


async def examined(examiners: Iterable[Examiner], prepared: Prepared) -> tuple[PartOutcome, ...]:
    """What each says of it."""
    return tuple(
        [
            PartOutcome(
                one.name,
                one.name,
                would_change=bool(prepared.changes),
                problems=await one.examine(prepared.state, prepared.checksum),
            )
            for one in examiners
        ]
    )


def expect_no_problems(found: Iterable[PartOutcome]) -> None:
    """Raise PartsRefused when somebody has found some."""
    if problems := [one for one in found if one.problems]:
        raise PartsRefused(problems)
