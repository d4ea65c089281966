"""Heard: what Envoy tells a relay of a request, in headers of ours. Pure."""

from dataclasses import dataclass
from functools import lru_cache

from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.dialects.operations import Operation

_LONGEST_NUMBER = 19  # digits, as 64 bits have
_OPERATIONS = {operation.value: operation for operation in Operation}
_NAMES = (
    asking.ID, asking.POOL, asking.ROUTE, asking.OPERATION, asking.STREAM, asking.PATH, asking.HOST, asking.ATTEMPT, asking.AT,
    asking.NAMES, asking.TASKS, asking.MODEL, asking.WHO, asking.REQUEST_ID,
)  # fmt: skip
_FIELDS = tuple([name.encode() for name in _NAMES])


class Unheard(ValueError):
    """Headers are missing, or say what they cannot: whoever asks is no Envoy of ours."""


@dataclass(slots=True)  # a frozen one takes three times as long to make
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
    request_id: str = ""

    def told(self) -> dict[str, str]:
        """What a decider must know that did not let the request pass itself."""
        if not self.who:
            return {}
        return {
            asking.WHO: self.who,
            asking.OPERATION: self.operation.value,
            asking.MODEL: self.model,
            asking.STREAM: "1" if self.stream else "0",
            asking.REQUEST_ID: self.request_id,
        }


def hear(fields: dict[bytes, bytes]) -> Heard:
    """Raises Unheard."""
    number, pool, route, word, stream, path, hosts, attempt, at, names, tasks, model, who, request_id = [
        "" if value == b"-" else value.decode("latin-1")  # as Envoy writes what it does not know
        for value in [fields.get(name, b"") for name in _FIELDS]
    ]
    if not pool:
        raise Unheard(f"{asking.POOL} is missing")
    operation = _OPERATIONS.get(word)
    if operation is None:
        raise Unheard(f"{asking.OPERATION}: {word[:40]!r} is none")
    return Heard(
        _number(number, asking.ID),
        pool,
        route,
        operation,
        stream == "1",
        path or operation.path,
        tuple(hosts.split(",")) if hosts else (),
        max(1, _number(attempt or "1", asking.ATTEMPT)),
        _span(at),
        _name(names, pool) if names else None,
        frozenset(tasks.split(",")) if tasks else frozenset(),
        model,
        who,
        request_id,
    )


@lru_cache(maxsize=1024)
def _name(names: str, pool: str) -> str | None:
    return asking.decode_names(names).get(pool)


def _span(value: str) -> tuple[int, int] | None:
    if not value:
        return None
    first, _, last = value.partition(",")
    return _number(first, asking.AT), _number(last, asking.AT)


def _number(value: str, name: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER):
        raise Unheard(f"{name}: {value[:40]!r} is no number")
    return int(value)
