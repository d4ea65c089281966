"""The commands that ask a manager: their names, options and help, as in `main`."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from marchproxy.cli import canaries, signing
from marchproxy.cli.options import Context, DryRun, Json, KeyFile, Manager, Reason, Yes


def apply(
    file: Annotated[Path, typer.Argument(help="A file as `up` takes it, or an export.")],
    base: Annotated[
        int | None,
        typer.Option(
            "--base",
            min=1,
            help="The revision it was made from. Default: what its comment `# revision: N` says.",
        ),
    ] = None,
    reason: Reason = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    context: Context = "",
    manager: Manager = "",
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Put the desired state of a file in force everywhere, as one more revision, after showing what changes.

    Errors are told with their line. What others changed since the file's revision stays; where both changed the same,
    nothing is done, and the paths are told. Without a revision the file replaces all.

      marchproxy export > shop.yaml; $EDITOR shop.yaml
      marchproxy apply shop.yaml --reason "more for v2"
    """
    from marchproxy.cli.managed.asked import Asked
    from marchproxy.cli.managed.offer import read_offer
    from marchproxy.cli.managed.proposing import Consent, Proposal, propose

    asked = Asked(context, manager, key_file, as_json, file)
    offer = read_offer(file, as_json=as_json)
    number = base if base is not None else offer.base
    params: dict[str, str | int] = (
        {"reason": reason} if number is None else {"reason": reason, "base": number}
    )
    proposal = Proposal("/apply", params, offer.content, guarded=number is None)
    propose(asked, proposal, Consent(yes, dry_run))


def diff(
    what: Annotated[str, typer.Argument(metavar="FILE|REVISION", help="A file, or a revision's number.")],
    other: Annotated[
        int | None, typer.Argument(metavar="[REVISION]", min=1, help="A revision to go to from the first.")
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit code 1 where there are differences.")
    ] = False,
    context: Context = "",
    manager: Manager = "",
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Show what a file would change, what a revision changed, or what differs from one revision to another.

    marchproxy diff shop.yaml
    marchproxy diff 7
    marchproxy diff 5 7
    """
    from marchproxy.cli.managed.asked import Asked
    from marchproxy.cli.managed.looking import show_diff, show_file_diff

    if what.isascii() and what.isdigit():
        differs = show_diff(Asked(context, manager, key_file, as_json), int(what), other)
    elif other is not None:
        raise typer.BadParameter("a file is compared with what is in force: leave out the revision")
    else:
        differs = show_file_diff(Asked(context, manager, key_file, as_json, Path(what)), Path(what))
    if differs and exit_code:
        raise typer.Exit(1)


def export(
    revision: Annotated[
        int | None, typer.Option("--revision", min=1, help="Default: the one in force.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file. Default: stdout.")] = None,
    context: Context = "",
    manager: Manager = "",
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Write the desired state as YAML that `apply` takes. It begins with its revision; secrets in it are `***`.

    marchproxy export -o shop.yaml
    marchproxy export --revision 5 | less
    """
    from marchproxy.cli.managed.asked import Asked
    from marchproxy.cli.managed.looking import export as write

    write(Asked(context, manager, key_file, as_json), revision, output)


def revisions(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many.")] = 20,
    context: Context = "",
    manager: Manager = "",
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """List revisions, the newest first: who made them, when, why, and how much they changed.

    marchproxy revisions --limit 5
    """
    from marchproxy.cli.managed.asked import Asked
    from marchproxy.cli.managed.looking import show_revisions

    show_revisions(Asked(context, manager, key_file, as_json), limit)


def rollback(
    revision: Annotated[int | None, typer.Argument(min=1, help="Default: the one before.")] = None,
    reason: Reason = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    context: Context = "",
    manager: Manager = "",
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Put an earlier revision in force again, after showing what changes.

    It becomes one more revision, so that this, too, can be taken back.

      marchproxy rollback
      marchproxy rollback 5 --reason "v2 loses carts"
    """
    from marchproxy.cli.managed.asked import Asked
    from marchproxy.cli.managed.back import roll_back
    from marchproxy.cli.managed.proposing import Consent

    roll_back(Asked(context, manager, key_file, as_json), revision, reason, Consent(yes, dry_run))


def add_to(app: typer.Typer, panel: str) -> None:
    """Add all that asks a manager, in the order in which help lists it."""
    desired: tuple[Callable[..., None], ...] = (apply, diff, rollback, revisions, export)
    running: tuple[Callable[..., None], ...] = (canaries.drain, canaries.top, signing.login, signing.logout)
    for command in desired:
        app.command(rich_help_panel=panel)(command)
    app.add_typer(canaries.canary, name="canary", rich_help_panel=panel)
    for command in running:
        app.command(rich_help_panel=panel)(command)
    app.add_typer(signing.context, name="context", rich_help_panel=panel)
    app.command(rich_help_panel=panel)(signing.completion)
