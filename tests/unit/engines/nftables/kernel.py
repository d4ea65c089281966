"""A kernel of a few lines: executes transactions as data and refuses what the real one refuses about references."""

import json
from typing import Any


class Refused(Exception):
    """The transaction is not possible."""


class Kernel:
    """Tables by family; each is a dict of things. `load` is all or nothing."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, dict[str, Any]]] = {}

    def load(self, commands) -> None:
        saved = json.dumps(self.tables)
        try:
            for command in commands:
                ((verb, what),) = command.items()
                ((kind, body),) = what.items()
                getattr(self, f"_{verb}")(kind, body)
            for table in self.tables.values():
                _check_references(table)
        except Refused:
            self.tables = json.loads(saved)
            raise

    def _add(self, kind: str, body) -> None:
        if kind == "table":
            self.tables.setdefault(body["family"], {k: {} for k in ("chain", "set", "map", "counter")})
            return
        table = self._table(body)
        match kind:
            case "rule":
                _get(table, "chain", body["chain"])["rules"].append(body["expr"])
            case "element":
                for key, value in body["elem"]:
                    elements = _get(table, "map", body["name"])["elements"]
                    if json.dumps(key) in elements:
                        raise Refused(f"element {key} exists")
                    elements[json.dumps(key)] = value
            case _:
                if body["name"] in table[kind]:
                    raise Refused(f"{kind} {body['name']} exists")
                extra = {"chain": {"rules": []}, "map": {"elements": {}}}.get(kind, {})
                table[kind][body["name"]] = {**body, **extra}

    def _delete(self, kind: str, body) -> None:
        if kind == "table":
            del self.tables[body["family"]]
            return
        table = self._table(body)
        if kind == "element":
            for key in body["elem"]:
                if _get(table, "map", body["name"])["elements"].pop(json.dumps(key), None) is None:
                    raise Refused(f"no element {key}")
            return
        if kind == "chain" and _get(table, kind, body["name"])["rules"]:
            raise Refused(f"chain {body['name']} is not empty")
        _get(table, kind, body["name"])
        if body["name"] in _named(table):
            raise Refused(f"{kind} {body['name']} is busy")
        del table[kind][body["name"]]

    def _flush(self, kind: str, body) -> None:
        assert kind == "chain"
        _get(self._table(body), "chain", body["name"])["rules"].clear()

    def _table(self, body) -> dict[str, Any]:
        if body["family"] not in self.tables:
            raise Refused("no table")
        return self.tables[body["family"]]


def _get(table, kind: str, name: str):
    if name not in table[kind]:
        raise Refused(f"no {kind} {name}")
    return table[kind][name]


def _named(table) -> set[str]:
    """The names of everything that rules and elements point to."""
    found: set[str] = set()
    for chain in table["chain"].values():
        _collect(chain["rules"], found)
    for known in table["map"].values():
        for value in known["elements"].values():
            found.add(value if isinstance(value, str) else value["goto"]["target"])
    return found


def _collect(node, found: set[str]) -> None:
    match node:
        case {"target": str(name)} | {"counter": str(name)}:
            found.add(name)
        case dict():
            for value in node.values():
                _collect(value, found)
        case list():
            for value in node:
                _collect(value, found)
        case str() if node.startswith("@"):
            found.add(node[1:])


def _check_references(table) -> None:
    known = {name for kind in ("chain", "set", "map", "counter") for name in table[kind]}
    if missing := _named(table) - known:
        raise Refused(f"no such things: {sorted(missing)}")
