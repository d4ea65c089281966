"""Picture: what is drawn, from what was last seen. The busiest of each column are shown; the rest is one node. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from marchproxy.manager.ui.components.badge import Tone
from marchproxy.manager.ui.components.markup import address
from marchproxy.manager.ui.components.words import milliseconds, plural, rate
from marchproxy.manager.watching import ListenerView, LiveView, PartView, PoolView
from marchproxy.model.module import HealthStatus

#: Nodes of one column.
MOST = 8
_Kind = tuple[str, str]
_Thing = TypeVar("_Thing")


@dataclass(frozen=True, slots=True)
class Node:
    """One box. `lines` are its name and what is said of it; `href` is where it leads."""

    id: str
    column: int
    lines: tuple[str, ...]
    tone: Tone
    href: str


@dataclass(frozen=True, slots=True)
class Link:
    """What flows from a node to another, per second; None: nobody counts it there."""

    source: str
    target: str
    flow: float | None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """Nodes of three columns, from top to bottom, and the links between them."""

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]


def picture(view: LiveView) -> Picture:
    """What is drawn of a view."""
    groups: dict[_Kind, list[PartView]] = defaultdict(list)
    for part in view.parts:
        groups[part.kind.value, part.version].append(part)
    listeners = _busiest(view.listeners, [one.accepted + one.connections / 1000 for one in view.listeners])
    pools = _busiest(view.pools.values(), [pool.stats.requests for pool in view.pools.values()])
    links = [link for one in listeners for link in _from_listener(one, groups)]
    kinds = sorted(groups, key=lambda kind: (_place(_id(kind), links), kind))
    nodes = [
        *(_listener(one) for one in listeners),
        *_rest("listener", len(view.listeners) - len(listeners), 0, "/listeners"),
        *(_group(kind, groups[kind]) for kind in kinds),
        *(_pool(pool) for pool in pools),
        *_rest("pool", len(view.pools) - len(pools), 2, "/pools"),
    ]
    links += [link for kind, parts in groups.items() for link in _from_group(kind, parts, pools)]
    return Picture(tuple(nodes), tuple(links))


def _place(node: str, links: Sequence[Link]) -> float:
    """Where the first listener that leads there stands, so that few lines cross."""
    sources = list(dict.fromkeys(link.source for link in links))
    return min((sources.index(link.source) for link in links if link.target == node), default=len(sources))


def _busiest(things: Iterable[_Thing], loads: Sequence[float]) -> list[_Thing]:
    """As many as there is room for, in their own order."""
    listed = list(things)
    if len(listed) <= MOST:
        return listed
    chosen = sorted(range(len(listed)), key=lambda index: -loads[index])[: MOST - 1]
    return [listed[index] for index in sorted(chosen)]


def _rest(what: str, many: int, column: int, href: str) -> list[Node]:
    return (
        [Node(f"{what}s:rest", column, (plural(many, f"more {what}"),), Tone.NONE, href)] if many > 0 else []
    )


def _listener(one: ListenerView) -> Node:
    tone = Tone.WARN if one.failed > 0 else Tone.OK
    said = f"{one.protocol} {one.address} · {rate(one.accepted)} new"
    return Node(f"listener:{one.name}", 0, (one.name, said), tone, address("listeners", one.name))


def _group(kind: _Kind, parts: Sequence[PartView]) -> Node:
    well = sum(part.health is HealthStatus.HEALTHY and not part.draining for part in parts)
    tone = Tone.OK if well == len(parts) else Tone.WARN if well else Tone.BAD
    name, version = kind
    served = sum(part.stats.requests for part in parts)
    latency = milliseconds(max(part.stats.p99_ms for part in parts))
    lines = (f"{name.upper()} {version}", f"{well} of {len(parts)} healthy · {rate(served)} · p99 {latency}")
    return Node(_id(kind), 1, lines, tone, f"/modules?q={name}")


def _pool(pool: PoolView) -> Node:
    well, many = pool.sound, len(pool.endpoints)
    tone = Tone.NONE if not many else Tone.OK if well == many else Tone.WARN if well else Tone.BAD
    health = f"{well} of {many} healthy" if many else "no endpoints"
    return Node(
        f"pool:{pool.name}",
        2,
        (pool.name, f"{health} · {rate(pool.stats.requests)}"),
        tone,
        address("pools", pool.name),
    )


def _from_listener(one: ListenerView, groups: dict[_Kind, list[PartView]]) -> list[Link]:
    """To every version of its module that has a share, or has its connections."""
    links = []
    for kind, parts in groups.items():
        weight = one.weights.get(kind[1], 0) if kind[0] == one.module_type else 0
        has = any(part.id in one.instances for part in parts)
        if weight or has:
            flow = one.accepted * weight / 100 if weight else None
            links.append(
                Link(f"listener:{one.name}", _id(kind), flow, f"{weight} %" if 0 < weight < 100 else "")
            )
    return links


def _from_group(kind: _Kind, parts: Sequence[PartView], pools: Sequence[PoolView]) -> list[Link]:
    """To the pools that its instances have; what a pool serves is divided by who may ask it."""
    ids = {part.id for part in parts}
    links = []
    for pool in pools:
        ours = sum(instance in ids for instance in pool.instances)
        if ours:
            flow = pool.stats.requests * ours / len(pool.instances)
            links.append(Link(_id(kind), f"pool:{pool.name}", flow))
    return links


def _id(kind: _Kind) -> str:
    return f"module:{kind[0]}:{kind[1]}"
