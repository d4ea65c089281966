"""The commands about language models: their names, options and help, as in `main`."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from pathlib import Path
from typing import Annotated

import typer

from marchproxy.cli.options import Json

ai = typer.Typer(help="Language models: virtual keys, and what was used.", no_args_is_help=True)
key = typer.Typer(help="Virtual keys, which clients show in place of a provider's.", no_args_is_help=True)
ai.add_typer(key, name="key")


@key.command("new")
def key_new(
    key_id: Annotated[
        str, typer.Option("--id", help="What the key is called in documents. Default: made up.")
    ] = "",
    user: Annotated[str, typer.Option("--user", help="Who uses it.")] = "",
    team: Annotated[str, typer.Option("--team", help="For which team.")] = "",
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help='A model it may ask for, or with a "*" at the end any that begins so; repeat it. Default: any.',
        ),
    ] = None,
    expires: Annotated[
        str, typer.Option("--expires", help="A time such as 2030-01-31. Default: never.")
    ] = "",
    priority: Annotated[
        int | None,
        typer.Option("--priority", help="The best that its requests may have, 0 (first) to 9. Default: 5."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key, and the entry for the document. The key is shown here and never again: only its hash is kept."""
    from marchproxy.cli.ai.key import show_new

    show_new(
        {
            "key_id": key_id,
            "user": user,
            "team": team,
            "models": tuple(model or ()),
            "expires": expires,
            **({} if priority is None else {"priority": priority}),
        },
        as_json=as_json,
    )


@ai.command()
def usage(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Journals are looked for below it. Default: the system's state folder."),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            "--by", help="What is told apart, with commas: key, user, team, model, pool, day, month."
        ),
    ] = "key",
    since: Annotated[
        str, typer.Option("--since", help="A time such as 2030-01-31, or 24h or 7d ago. Default: this month.")
    ] = "",
    until: Annotated[
        str, typer.Option("--until", help="The same; what ends then or later does not count.")
    ] = "",
    where: Annotated[
        list[str] | None, typer.Option("--where", help="Only this, such as team=red; repeat it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add up what requests to language models have used and cost, by what AILBs of this machine have written down.

    Times are UTC. Nothing needs to run.
    """
    from marchproxy.cli.ai.usage import NotAQuestion, read_question, show

    try:
        question = read_question(by, since, until, where or ())
    except NotAQuestion as error:
        raise typer.BadParameter(str(error)) from error
    show(folder, question, as_json=as_json)
