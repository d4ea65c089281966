"""`marchproxy context list`: where one is logged in."""

import json
import os
from collections.abc import Callable

import typer

from marchproxy.cli.managed.contexts import LOCAL, Contexts, contexts_file, read_contexts, write_contexts
from marchproxy.cli.managed.running import api_failures
from marchproxy.cli.screen import Sheet, columns, stdout


def show_contexts(*, as_json: bool) -> None:
    """Print them; never a key. Raises typer.Exit."""
    with api_failures():
        found = read_contexts(contexts_file(os.environ))
    if as_json:
        listed = {name: {"url": one.url, "user": one.user} for name, one in found.contexts.items()}
        typer.echo(json.dumps({"current": found.current or LOCAL, "contexts": listed}))
        return
    stdout().print(contexts_sheet(found).rendered())


def contexts_sheet(contexts: Contexts) -> Sheet:
    """Contexts as a table; the current one has a star."""
    current = contexts.current or LOCAL
    rows = [(LOCAL, "this machine's manager", "")]
    rows += [(name, context.url, context.user) for name, context in contexts.contexts.items()]
    starred = [("*" if row[0] == current else "", *row) for row in rows]
    return Sheet("Contexts", columns("", "context", "manager", "user"), starred)


def use_context(name: str) -> None:
    """Make it the current one. Raises typer.Exit."""
    _change(lambda contexts: contexts.using(name))
    typer.echo(f"commands ask {name} now")


def remove_context(name: str) -> None:
    """Forget it; its key stays good. Raises typer.Exit."""
    _change(lambda contexts: contexts.without(name))
    typer.echo(
        f"context {name} is forgotten; its key is good until it expires (`marchproxy logout` ends keys)"
    )


def _change(make: Callable[[Contexts], Contexts]) -> None:
    with api_failures():
        file = contexts_file(os.environ)
        write_contexts(file, make(read_contexts(file)))
