"""`marchproxy validate`: the errors of a file, or a summary of what it says."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from marchproxy.cli.failing import FAILED
from marchproxy.cli.file import Loaded, load_file
from marchproxy.kit.settings import Problem, SettingsError
from marchproxy.model.database import DATABASE_PROTOCOLS, DatabaseRoute
from marchproxy.model.limit import NLB_SCOPES
from marchproxy.model.listener import Listener
from marchproxy.model.module import Protocol
from marchproxy.model.route import Route
from marchproxy.model.rtmp import RtmpRoute
from marchproxy.model.sharing import Sharing, share

_TOLD_APART = {
    Sharing.ALONE: "",
    Sharing.HELLO: ", told from others by the TLS hello",
    Sharing.REQUEST: ", told from others by each request",
    Sharing.BYTES: ", told from others by the first bytes",
}


def run_validate(file: Path, *, as_json: bool) -> None:
    """Print what is wrong with the file, or what is in it. Raises typer.Exit with code 1 when it has errors."""
    try:
        loaded = load_file(file, os.environ)
    except SettingsError as error:
        refuse(file, error, as_json=as_json)
    if as_json:
        _print_json((), loaded.warnings)
    else:
        _print_summary(file, loaded)


def refuse(file: Path, error: SettingsError, *, as_json: bool) -> NoReturn:
    """Print what is wrong with a file, and end the command. Raises typer.Exit with code 1."""
    if as_json:
        _print_json(error.problems, ())
    else:
        _print_errors(file, error.problems)
    raise typer.Exit(FAILED)


def _print_json(errors: tuple[Problem, ...], warnings: tuple[Problem, ...]) -> None:
    answer = {
        "valid": not errors,
        "errors": [_plain(problem) for problem in errors],
        "warnings": [_plain(problem) for problem in warnings],
    }
    typer.echo(json.dumps(answer))


def _plain(problem: Problem) -> dict[str, str | int | None]:
    return {
        "file": problem.file,
        "line": problem.line,
        "path": problem.path,
        "message": problem.message,
    }


def _print_errors(file: Path, problems: tuple[Problem, ...]) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for problem in problems:
        console.print(_line(problem, "bold red"))
    count = f"{len(problems)} error{'s' * (len(problems) != 1)}"
    console.print(Text(f"{file}: {count}", style="red"))


def _line(problem: Problem, style: str) -> Text:
    place = ":".join(str(part) for part in (problem.file, problem.line) if part is not None)
    parts = [Text(place, style="bold")] if place else []
    if problem.path:
        parts.append(Text(problem.path, style="cyan"))
    return Text(": ").join([*parts, Text(problem.message, style=style)])


def _print_summary(file: Path, loaded: Loaded) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for problem in loaded.warnings:
        console.print(Text("warning: ", style="yellow") + _line(problem, ""))
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, what in _contents(loaded):
        table.add_row(name, what)
    console.print(table)
    console.print(Text(f"{file} is sound", style="green"))


def _contents(loaded: Loaded) -> list[tuple[str, str]]:
    document, state = loaded.document, loaded.state
    rows = [("nlb", f"{document.nlb.id} at {document.nlb.grpc}")] if document.nlb else []
    rows += [("xds", f"at {document.xds.grpc}")] if document.xds else []
    rows += [("manager", f"{document.manager.id} at {document.manager.http}")] if document.manager else []
    rows += [("module", f"{module.id} ({module.type} {module.version})") for module in document.modules]
    rows += [
        ("listener", f"{_listener_in_words(item)}{_TOLD_APART[port.sharing]}")
        for port in share(state.listeners)
        for item in port.listeners
    ]
    rows += [
        (
            "route",
            f"{route.route_id}: {_taken_by(route)} → {_answered_by(route)}",
        )
        for route in state.routes
    ]
    rows += [
        ("pool", f"{pool.name} ({pool.version}): {len(pool.endpoints)} endpoints") for pool in state.pools
    ]
    rows += [
        (
            "limit",
            f"{limit.limit_id} on {limit.target}, kept by the {'NLB' if limit.scope in NLB_SCOPES else 'modules'}",
        )
        for limit in state.rate_limits
    ]
    rows += [
        ("scaling", f"{item.module_type.value}: {item.limits.minimum} to {item.limits.maximum} instances")
        for item in state.scaling
    ]
    return rows


def _listener_in_words(listener: Listener) -> str:
    names = f" for {', '.join(listener.server_names)}" if listener.server_names else ""
    tls = ", ends TLS" if listener.tls is not None else ""
    return (
        f"{listener.name} at {listener.address}{names} "
        f"({listener.protocol.value} → {listener.module_type.value}){tls}"
    )


def _taken_by(route: Route) -> str:
    """What of a client's request, or of its session, a route looks at first."""
    if route.protocol in DATABASE_PROTOCOLS:
        options = route.database or DatabaseRoute()
        named = (
            ("databases", options.databases),
            ("users", options.users),
            ("applications", options.applications),
        )
        return _named(named) or "any database"
    if route.protocol is Protocol.RTMP:
        wanted = route.rtmp or RtmpRoute()
        return (
            _named((("hosts", wanted.vhosts), ("apps", wanted.apps), ("streams", wanted.streams)))
            or "any stream"
        )
    return f"{', '.join(route.match.hosts) or 'any host'}, path {route.match.path.value}"


def _named(conditions: Iterable[tuple[str, Sequence[str]]]) -> str:
    return ", ".join(f"{word} {', '.join(names)}" for word, names in conditions if names)


def _answered_by(route: Route) -> str:
    if route.redirect is not None:
        return f"a redirect ({route.redirect.code})"
    if route.response is not None:
        return f"an answer of its own ({route.response.status})"
    if route.ai is not None:
        return "; ".join(
            f"{model.name} by {', '.join(target.pool for target in model.targets)}"
            for model in route.ai.models
        )
    alone = "the module itself" if route.protocol is Protocol.RTMP else "the module decides"
    return ", ".join(f"{backend.pool} {backend.weight} %" for backend in route.backends) or alone
