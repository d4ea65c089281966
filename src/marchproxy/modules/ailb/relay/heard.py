"""Heard: what Envoy tells a relay of a request, in headers of ours. Pure."""

from dataclasses import dataclass

from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.dialects.operations import Operation

_LONGEST_NUMBER = 19  # digits, as 64 bits have


class Unheard(ValueError):
    """Headers are missing, or say what they cannot: whoever asks is no Envoy of ours."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A request. `number`: its reservation; `path`: behind `/v1`, with the query; `hosts`: in the order of attempts; `attempt` from 1.

    `at`: where the model's value stands in the body; `name`: the JSON of the model's name in this pool, None: it is the client's.
    `model` is the route's name of it, and `who` says for whom the reservation is.
    """

    number: int
    pool: str
    route: str
    operation: Operation
    stream: bool
    path: str
    hosts: tuple[str, ...] = ()
    attempt: int = 1
    at: tuple[int, int] | None = None
    name: str | None = None
    tasks: frozenset[str] = frozenset()
    model: str = ""
    who: str = ""

    def told(self) -> dict[str, str]:
        """What a decider must know that did not let the request pass itself."""
        fields = {asking.WHO: self.who, asking.OPERATION: self.operation.value, asking.MODEL: self.model}
        return fields | {asking.STREAM: "1" if self.stream else "0"} if self.who else {}


def hear(fields: dict[bytes, bytes]) -> Heard:
    """Raises Unheard."""

    def field(name: str) -> str:
        value = fields.get(name.encode(), b"").decode("latin-1")
        return "" if value == "-" else value  # as Envoy writes what it does not know

    pool, names = field(asking.POOL), field(asking.NAMES)
    if not pool:
        raise Unheard(f"{asking.POOL} is missing")
    try:
        operation = Operation(field(asking.OPERATION))
    except ValueError as error:
        raise Unheard(f"{asking.OPERATION}: {error}") from error
    hosts, tasks = field(asking.HOST), field(asking.TASKS)
    return Heard(
        _number(field(asking.ID), asking.ID),
        pool,
        field(asking.ROUTE),
        operation,
        field(asking.STREAM) == "1",
        field(asking.PATH) or operation.path,
        tuple(hosts.split(",")) if hosts else (),
        max(1, _number(field(asking.ATTEMPT) or "1", asking.ATTEMPT)),
        _span(field(asking.AT)),
        asking.decode_names(names).get(pool) if names else None,
        frozenset(tasks.split(",")) if tasks else frozenset(),
        field(asking.MODEL),
        field(asking.WHO),
    )


def _span(value: str) -> tuple[int, int] | None:
    if not value:
        return None
    first, _, last = value.partition(",")
    return _number(first, asking.AT), _number(last, asking.AT)


def _number(value: str, name: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER):
        raise Unheard(f"{name}: {value[:40]!r} is no number")
    return int(value)
