"""bench.cost: what each part of an ALB's configuration costs a request, in instructions that Envoy executes."""

import copy
import json
import re
import urllib.request
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

from rich.table import Table

from bench.support.callgrind import check_installed, instructions
from bench.support.documents import one_route
from bench.support.marchproxy import Service, running_alb
from bench.support.peer_files import envoy_config
from bench.support.peers import backend
from bench.support.ports import free_ports
from bench.support.report import Report
from bench.support.routing import RoutingTable
from bench.support.stage import run
from bench.support.static_copy import Config, manager_of, pieces, static_copy, without

_HAND = "Envoy, by hand"
_ALB = "ALB"
_QUICK = ("filter", "access log")
_ROUTERS_DEFAULTS: Config = {"dynamic_stats": True, "suppress_envoy_headers": False, "upstream_log": []}


def _measure(directory: Path, quick: bool) -> Report:  # noqa: FBT001 - the signature that stage.run calls
    check_installed()
    upstream, port, hand_port, unused = free_ports(4)
    numbers = count()

    def counted(config: Config, at: int) -> float:
        return instructions(config, at, directory / f"run-{next(numbers)}", requests=500 if quick else 2000)

    with backend([upstream], directory):
        with running_alb("alb", one_route(upstream, unused), directory) as alb:
            ours = static_copy(_dump(alb), port)
        theirs = envoy_config(RoutingTable.of(1), hand_port, upstream)
        found = {_HAND: counted(theirs, hand_port), _ALB: counted(ours, port)}
        saved = _saved(ours, found[_ALB], lambda config: counted(config, port), quick=quick)
    figures = {"hand_envoy_instructions": found[_HAND], "alb_instructions": found[_ALB]}
    ratios = {"instructions_vs_hand_envoy": found[_ALB] / found[_HAND]}
    told = {f"without_{re.sub(r'[^a-z0-9]+', '_', name)}": value for name, value in saved.items()}
    return Report("cost", _table(found, saved), ratios, {**figures, **told})


def _saved(
    ours: Config, whole: float, counted: Callable[[Config], float], *, quick: bool
) -> dict[str, float]:
    """Instructions that a request saves when one part is left out, or the router has one option as Envoy does."""
    saved = {}
    for name, change in pieces(ours):
        if not quick or any(word in name for word in _QUICK):
            saved[name] = whole - counted(without(ours, change))
    for option, value in () if quick else _ROUTERS_DEFAULTS.items():
        turned = copy.deepcopy(ours)
        manager_of(turned)["http_filters"][-1]["typed_config"][option] = value
        saved[f"router: our {option}"] = whole - counted(turned)
    return saved


def _dump(alb: Service) -> Mapping[str, object]:
    (entry,) = alb.section["modules"]
    with urllib.request.urlopen(
        f"http://{entry['envoy']['admin']}/config_dump?include_eds", timeout=10
    ) as answer:
        dump: Mapping[str, object] = json.load(answer)
    return dump


def _table(found: Mapping[str, float], saved: Mapping[str, float]) -> Table:
    table = Table(title="Instructions of Envoy's worker for a request, one route, one connection, HTTP/1.1")
    table.add_column("")
    for name in ("instructions", "of Envoy by hand"):
        table.add_column(name, justify="right")
    for name, value in found.items():
        table.add_row(name, f"{value:,.0f}", f"{value / found[_HAND]:.1%}")
    table.add_section()
    for name, value in sorted(saved.items(), key=lambda item: -item[1]):
        table.add_row(f"ALB without: {name}", f"{-value:+,.0f}", f"{-value / found[_HAND]:+.1%}")
    return table


if __name__ == "__main__":
    run("cost", __doc__ or "", _measure, needs=("haproxy",))
