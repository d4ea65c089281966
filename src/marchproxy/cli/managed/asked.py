"""Which manager a command asks: what its options say, the context, or the manager of this machine."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import typer

from marchproxy.cli.managed.contexts import LOCAL, Context, contexts_file, read_contexts
from marchproxy.cli.manager.place import ManagerAway, Place, trusting
from marchproxy.kit.settings import Problem, SettingsError


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options say. `context` is the option's or $MARCHPROXY_CONTEXT; `file` is what the command is about."""

    context: str = ""
    url: str = ""
    key_file: Path | None = None
    as_json: bool = False
    file: Path | None = None


def find_place(asked: Asked, environ: Mapping[str, str] = os.environ) -> Place:
    """Where to ask: the key that is named comes before any context. Raises SettingsError, ManagerAway, typer.BadParameter."""
    if asked.url or asked.key_file:
        return _named(asked)
    contexts = read_contexts(contexts_file(environ))
    name = asked.context or contexts.current or LOCAL
    if name != LOCAL:
        return place_of(contexts.named(name))
    from marchproxy.cli.managed.here import manager_here  # noqa: PLC0415 - slow, and not needed with a context

    return manager_here(asked.file, environ)


def place_of(context: Context) -> Place:
    """The manager of a context. Raises SettingsError when its authorities cannot be read."""
    if context.ca is None:
        return Place(context.url, context.key)
    try:
        return Place(context.url, context.key, trusting(context.ca))
    except OSError as error:
        reason = f"cannot be used: {error.strerror or error}"
        raise SettingsError([Problem("", reason, None, str(context.ca))]) from error


def _named(asked: Asked) -> Place:
    key = asked.key_file
    if key is None:
        raise typer.BadParameter("--manager needs --key-file; or log in (`marchproxy login URL`)")
    if not asked.url:
        from marchproxy.cli.managed.here import manager_of  # noqa: PLC0415 - as above

        return manager_of(key)
    try:
        return Place(asked.url.rstrip("/"), key.read_text().strip())
    except OSError as error:
        raise ManagerAway(f"{key}: {error.strerror or error}") from error
