"""The commands that change a running system: their names, options and help, as in `main`."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from typing import TYPE_CHECKING, Annotated

import typer

from marchproxy.cli.options import DEFAULT_NLB, Nlb, read_shares

if TYPE_CHECKING:
    from marchproxy.cli.change import Where
    from marchproxy.contract.fleet.changing import Change

settings = typer.Typer(help="Change a running system, until its file is loaded again.", no_args_is_help=True)

OnRoute = Annotated[
    str, typer.Option("--route", help="Only this route. Default: every route that knows the version.")
]
OnListener = Annotated[
    str,
    typer.Option(
        "--listener",
        help="Versions of the modules behind this listener of the NLB (* for all), not of backend pools.",
    ),
]


@settings.command("weight")
def set_weight(
    version: Annotated[str, typer.Argument(help="A version, such as v2.")],
    percent: Annotated[
        int, typer.Argument(min=0, max=100, help="Its share; the others keep their proportions.")
    ],
    route: OnRoute = "",
    listener: OnListener = "",
    nlb: Nlb = DEFAULT_NLB,
) -> None:
    """Give a version of the backends, or of the modules behind a listener, its share of the traffic."""
    from marchproxy.contract.fleet.changing import set_weight as weight

    where = _where(route, listener)
    _change(nlb, weight(version, percent, where.target), where)


@settings.command("limit")
def set_limit(
    route: Annotated[str, typer.Argument(help="The route.")],
    rate: Annotated[int, typer.Argument(min=0, help="Requests per second; 0 turns the limit off.")],
    burst: Annotated[
        int, typer.Option("--burst", min=0, help="Requests at once. Default: one second's worth.")
    ] = 0,
    nlb: Nlb = DEFAULT_NLB,
) -> None:
    """Limit how many requests a route takes; the others get 429."""
    from marchproxy.contract.fleet.changing import set_limit as limit

    _change(nlb, limit(route, rate, burst))


@settings.command("rollback")
def rollback(
    version: Annotated[
        str, typer.Argument(help="Which version; default: the one before the last shift.")
    ] = "",
    route: OnRoute = "",
    listener: OnListener = "",
    nlb: Nlb = DEFAULT_NLB,
) -> None:
    """Give all traffic back to an earlier version, and end a promotion."""
    from marchproxy.contract.fleet.changing import roll_back

    where = _where(route, listener)
    _change(nlb, roll_back(version, where.target), where)


@settings.command("promote")
def promote(
    version: Annotated[str, typer.Argument(help="A version, such as v2.")],
    step: Annotated[
        int, typer.Option("--step", min=0, max=100, help="Points at a time, watched; 0: everything at once.")
    ] = 0,
    steps: Annotated[str, typer.Option("--steps", help="Shares one after the other: 5,25,50,100.")] = "",
    interval: Annotated[float, typer.Option("--interval", min=0.5, help="Seconds between two steps.")] = 60.0,
    min_requests: Annotated[
        int,
        typer.Option("--min-requests", min=1, help="Requests that a step must have seen; without, it waits."),
    ] = 20,
    route: OnRoute = "",
    listener: OnListener = "",
    nlb: Nlb = DEFAULT_NLB,
) -> None:
    """Give a version all traffic: at once, or in steps for as long as it does no worse than the others.

    `marchproxy get rollouts` shows where it stands, and each decision with its numbers.
    """
    from marchproxy.contract.fleet.changing import Pace
    from marchproxy.contract.fleet.changing import promote as promotion
    from marchproxy.model.judging import RolloutLimits

    where = _where(route, listener)
    pace = Pace(step, read_shares(steps), RolloutLimits(interval=interval, min_requests=min_requests))
    _change(nlb, promotion(version, where.target, pace), where)


def _where(route: str, listener: str) -> "Where":
    from marchproxy.cli.change import Where

    if route and listener:
        raise typer.BadParameter("--route is about backend pools, --listener about modules: give one of them")
    return Where(route, listener)


def _change(nlb: str, wanted: "Change", where: "Where | None" = None) -> None:
    from marchproxy.cli.change import change_all, change_nlb
    from marchproxy.cli.running import run_client
    from marchproxy.cli.tracing import traced_command

    make = change_nlb if where is not None and where.listener else change_all
    with traced_command("change"):
        agreed = run_client(lambda: make(nlb, wanted))
    if not agreed:
        raise typer.Exit(1)
