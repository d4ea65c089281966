"""`marchproxy explain`: which listener, route, module, instance, pool and endpoint a request goes to, and why."""

from collections.abc import Iterable

from rich.console import Group
from rich.text import Text
from rich.tree import Tree

from marchproxy.cli.screen import stdout
from marchproxy.contract.fleet.client import connected
from marchproxy.contract.fleet.explaining import (
    Explanation,
    Question,
    Step,
    as_json_data,
    conclusion,
    find_out,
    steps,
)


async def explain(nlb: str, question: Question, *, as_json: bool) -> bool:
    """Print where a request goes and why; return whether it is served. Raises CallFailed."""
    async with connected(nlb) as client:
        explanation = await find_out(client, question)
    console = stdout()
    if as_json:
        console.print_json(data=as_json_data(explanation), indent=2 if console.is_terminal else None)
    else:
        console.print(explanation_text(explanation))
    return explanation.served


def explanation_text(explanation: Explanation) -> Group:
    """The explanation for people."""
    tree = Tree(Text(explanation.question.in_words(), style="bold"), guide_style="dim")
    for step in steps(explanation):
        _grow(tree.add(Text(step.words, style="bold cyan")), step.inner)
    colour = "bold green" if explanation.served else "bold red"
    return Group(tree, Text(conclusion(explanation), style=colour))


def _grow(tree: Tree, inner: Iterable[Step]) -> None:
    for step in inner:
        _grow(tree.add(Text(step.words)), step.inner)
