"""The commands about who one is at which manager, and completion of what one types; as in `main`."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from marchproxy.cli.options import ContextName, Json

context = typer.Typer(help="Which manager commands ask: where one is logged in.", no_args_is_help=True)


class Shell(StrEnum):
    """Shells that can complete what is typed."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def login(
    url: Annotated[str, typer.Argument(help="The manager, such as https://manager.example:8000.")],
    user: Annotated[str, typer.Option("--user", "-u", help="Who logs in. Default: asked for.")] = "",
    name: Annotated[
        str, typer.Option("--name", help="What the context is called. Default: by the host.")
    ] = "",
    ca: Annotated[
        Path | None,
        typer.Option("--ca", help="Certificates (PEM) that vouch for the manager's. Default: the system's."),
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=365, help="How long it is good.")] = 90,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow plain http to another machine.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Log in to a manager: the password is asked for, and an API key of one's own is kept in place of it.

    It becomes the current context. Where stdin is no terminal, its lines are taken for what would be asked.

      marchproxy login https://manager.example:8000 --user ann
      marchproxy revisions
    """
    from pydantic import TypeAdapter, ValidationError

    from marchproxy.cli.managed.contexts import LOCAL, Name
    from marchproxy.cli.managed.destination import NotADestination, read_destination
    from marchproxy.cli.managed.login import Wanted, log_in

    try:
        destination = read_destination(url, insecure=insecure)
        TypeAdapter[str](Name).validate_python(name or destination.name)
    except NotADestination as error:
        raise typer.BadParameter(str(error)) from error
    except ValidationError as error:
        raise typer.BadParameter("--name: letters, digits, `.`, `_` and `-`, at most 63") from error
    if name == LOCAL:
        raise typer.BadParameter("--name: `local` is this machine's manager")
    log_in(Wanted(destination, user, ca, days, name), as_json=as_json)


def logout(name: ContextName = "", as_json: Json = False) -> None:
    """End the key of a context, and forget it. Without a name: of the current one.

    marchproxy logout
    """
    from marchproxy.cli.managed.login import log_out

    log_out(name, as_json=as_json)


@context.command("list")
def context_list(as_json: Json = False) -> None:
    """List them; the star is at the one that commands take.

    marchproxy context list
    """
    from marchproxy.cli.managed.listing import show_contexts

    show_contexts(as_json=as_json)


@context.command("use")
def context_use(name: ContextName) -> None:
    """Have commands ask this one. `--context` and $MARCHPROXY_CONTEXT name another one for once.

    marchproxy context use local
    """
    from marchproxy.cli.managed.listing import use_context

    use_context(name)


@context.command("remove")
def context_remove(name: ContextName) -> None:
    """Forget one, without asking its manager; `logout` also ends its key.

    marchproxy context remove manager.example
    """
    from marchproxy.cli.managed.listing import remove_context

    remove_context(name)


def completion(shell: Annotated[Shell, typer.Argument(help="For which shell.")]) -> None:
    """Print what makes a shell complete commands, options and names.

    marchproxy completion bash > ~/.local/share/bash-completion/completions/marchproxy
    marchproxy completion zsh > "${fpath[1]}/_marchproxy"
    marchproxy completion fish > ~/.config/fish/completions/marchproxy.fish
    """
    from typer._completion_shared import get_completion_script  # what its own --show-completion prints

    from marchproxy.cli.entry import COMPLETE

    typer.echo(get_completion_script(prog_name="marchproxy", complete_var=COMPLETE, shell=shell.value))
