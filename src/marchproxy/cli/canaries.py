"""The commands about what runs, by way of a manager: canaries, drains, and the live screen; as in `main`."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from typing import TYPE_CHECKING, Annotated, Any

import typer

from marchproxy.cli.options import Context, Json, KeyFile, Manager, read_shares

if TYPE_CHECKING:
    from marchproxy.cli.managed.canary import Where

canary = typer.Typer(help="Give a new version traffic in watched steps.", no_args_is_help=True)

Route = Annotated[str, typer.Argument(help="The route; with --listener, the listener.")]
Version = Annotated[str, typer.Argument(help="A version, such as v2.")]
OfListener = Annotated[
    bool,
    typer.Option("--listener", help="Versions of the modules behind a listener, not of a route's pools."),
]


@canary.command("start")
def start(
    route: Route,
    version: Version,
    step: Annotated[int, typer.Option("--step", min=0, max=100, help="Points at a time. Default: 10.")] = 0,
    steps: Annotated[str, typer.Option("--steps", help="Shares one after the other: 5,25,50,100.")] = "",
    interval: Annotated[float, typer.Option("--interval", min=0.5, help="Seconds of a step.")] = 60.0,
    min_requests: Annotated[
        int, typer.Option("--min-requests", min=1, help="Requests a step must have seen; without, it waits.")
    ] = 20,
    max_errors: Annotated[
        float, typer.Option("--max-errors", min=0, max=100, help="Percent that may fail; 0: any.")
    ] = 5.0,
    max_p99: Annotated[
        float, typer.Option("--max-p99", min=0, help="Milliseconds that its p99 may take; 0: any.")
    ] = 0.0,
    listener: OfListener = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not watch it.")] = False,
    context: Context = "",
    manager: Manager = "",
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Start a canary, and watch every decision until it is promoted (a revision then) or rolled back (exit code 1).

    Ctrl-C ends the watching, not the canary.

      marchproxy canary start shop v2 --steps 5,25,50,100 --interval 60
    """
    from marchproxy.cli.managed.asked import Asked
    from marchproxy.cli.managed.canary import start as begin

    limits = {
        "interval": interval,
        "min_requests": min_requests,
        "max_error_percent": max_errors,
        "max_p99_latency_ms": max_p99,
    }
    pace: dict[str, Any] = {"step": step, "steps": read_shares(steps), "limits": limits}
    begin(Asked(context, manager, key_file, as_json), _where(route, listener), version, pace, detach=detach)


@canary.command("status")
def status(
    route: Annotated[str, typer.Argument(help="Only this one. Default: all.")] = "",
    listener: OfListener = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Watch it to its end.")] = False,
    context: Context = "",
    manager: Manager = "",
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Show where canaries stand, and every decision with its numbers.

    marchproxy canary status shop --watch
    """
    from marchproxy.cli.managed.asked import Asked
    from marchproxy.cli.managed.canary import status as show

    if watch and not route:
        raise typer.BadParameter("--watch needs a route: which one is to be watched?")
    show(Asked(context, manager, key_file, as_json), _where(route, listener) if route else None, watch=watch)


@canary.command("promote")
def promote(
    route: Route,
    version: Version,
    listener: OfListener = False,
    context: Context = "",
    manager: Manager = "",
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Give a version everything now, as a revision; a canary under way there is over.

    marchproxy canary promote shop v2
    """
    from marchproxy.cli.managed.asked import Asked
    from marchproxy.cli.managed.canary import end

    end(Asked(context, manager, key_file, as_json), _where(route, listener), version, forwards=True)


@canary.command("rollback")
def rollback(
    route: Route,
    version: Annotated[str, typer.Argument(help="Give this one everything. Default: as is desired.")] = "",
    listener: OfListener = False,
    context: Context = "",
    manager: Manager = "",
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """End a canary: traffic goes as the revision in force says; with a version, to that one, as a revision.

    marchproxy canary rollback shop
    """
    from marchproxy.cli.managed.asked import Asked
    from marchproxy.cli.managed.canary import end

    end(Asked(context, manager, key_file, as_json), _where(route, listener), version, forwards=False)


def drain(
    instance: Annotated[str, typer.Argument(help="An instance of a module, such as alb-1.")],
    undrain: Annotated[bool, typer.Option("--undrain", help="The opposite: send it traffic again.")] = False,
    wait: Annotated[
        float | None,
        typer.Option(
            "--wait",
            min=0,
            help="Seconds to wait, at most, until no connection is open; exit code 1 if one is.",
        ),
    ] = None,
    context: Context = "",
    manager: Manager = "",
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Send an instance nothing new, until it is undrained, also when it is started again.

    The only one of its kind that takes traffic is not drained.

      marchproxy drain alb-1 --wait 60
      marchproxy drain alb-1 --undrain
    """
    from marchproxy.cli.managed import draining
    from marchproxy.cli.managed.asked import Asked

    asked = Asked(context, manager, key_file, as_json)
    if not undrain:
        draining.drain(asked, instance, wait=wait)
    elif wait is None:
        draining.undrain(asked, instance)
    else:
        raise typer.BadParameter("--wait waits for connections to end: leave it out with --undrain")


def top(
    once: Annotated[bool, typer.Option("--once", help="One frame with everything, and no more.")] = False,
    context: Context = "",
    manager: Manager = "",
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Watch the running system: rates, errors, latencies and health of listeners, instances, pools and routes; canaries.

    q ends it, the arrows go from page to page and through a page.

      marchproxy top
      marchproxy top --once | less -R
    """
    from marchproxy.cli.managed.asked import Asked
    from marchproxy.cli.managed.top.screen import show_top

    show_top(Asked(context, manager, key_file, as_json), once=once)


def _where(name: str, listener: bool) -> "Where":
    from marchproxy.cli.managed.canary import Where

    return Where(name, "listener" if listener else "route")
