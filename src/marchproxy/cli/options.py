"""Options that several commands have."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

Nlb = Annotated[str, typer.Option("--nlb", envvar="MARCHPROXY_NLB", help="The NLB's gRPC address.")]
DEFAULT_NLB = "127.0.0.1:50050"

Json = Annotated[bool, typer.Option("--json", help="For programs: one JSON document on stdout.")]


def _contexts(incomplete: str) -> Iterator[str]:
    """For completion; a file that cannot be read has none."""
    from marchproxy.cli.managed.contexts import LOCAL, contexts_file, read_contexts  # noqa: PLC0415 - help is quick
    from marchproxy.kit.settings import SettingsError  # noqa: PLC0415

    try:
        known = [LOCAL, *read_contexts(contexts_file(os.environ)).contexts]
    except SettingsError:
        return
    yield from (name for name in known if name.startswith(incomplete))


ContextName = Annotated[
    str,
    typer.Argument(help="The context's name; `local` is this machine's manager.", autocompletion=_contexts),
]
Context = Annotated[
    str,
    typer.Option(
        "--context",
        envvar="MARCHPROXY_CONTEXT",
        help="Which manager, as `login` named it. Default: the current one, else this machine's.",
        autocompletion=_contexts,
    ),
]
Manager = Annotated[str, typer.Option("--manager", help="Its URL, to go with --key-file.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file", help="A file with its key; `local.key` of its state folder needs no --manager."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Have it checked everywhere, and change nothing.")]
Reason = Annotated[str, typer.Option("--reason", "-m", help="Why, for the list of revisions.")]


def read_shares(text: str) -> tuple[int, ...]:
    """Shares as people write them: 5,25,50,100. Raises typer.BadParameter."""
    try:
        return tuple(int(share) for share in text.split(",")) if text else ()
    except ValueError as error:
        raise typer.BadParameter(f"{text}: shares are whole percent, as in 5,25,50,100") from error
