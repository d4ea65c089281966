"""`marchproxy ai key new`."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import typer
import yaml

from marchproxy.contract.document.convert.ai import virtual_key_document
from marchproxy.model.checks.virtual_keys import check_virtual_keys
from marchproxy.model.problem import Problem
from marchproxy.modules.ailb.keys.making import new_key
from marchproxy.modules.ailb.ledger.periods import nanoseconds


def show_new(given: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a key and its entry. Raises typer.BadParameter, before anything is shown, when `given` is not sound."""
    made = new_key()
    entry = replace(made.entry, **{name: value for name, value in given.items() if value or value == 0})
    problems = [f"{_option(problem)} {problem.message}" for problem in check_virtual_keys([entry])]
    if not problems and entry.expires and nanoseconds(entry.expires) <= time.time_ns():
        problems = [f"--expires: {entry.expires} is over"]
    if problems:
        raise typer.BadParameter("; ".join(problems))
    document = virtual_key_document(entry).model_dump(mode="json", exclude_defaults=True)
    if as_json:
        typer.echo(json.dumps({"key": made.shown, "entry": document}))
        return
    typer.echo(f"# the key: for whom it is, and for nobody else; it is not shown again\n{made.shown}\n")
    typer.echo("# its entry in `virtual_keys`, in the document or in a file of keys")
    typer.echo(yaml.safe_dump([document], sort_keys=False), nl=False)


def _option(problem: Problem) -> str:
    """How the field of a problem's path is given on the command line."""
    field = problem.path.partition("].")[2].partition("[")[0]
    return f"--{field.removesuffix('s') if field == 'models' else field}:"
