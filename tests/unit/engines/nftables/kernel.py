"""A kernel of a few lines: executes transactions as data and refuses what the real one refuses about references.

It also refuses what a packet under way would stumble over: see `_check_safe`.
"""

import json
from typing import Any

KINDS = ("chain", "set", "map", "counter", "limit")


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
            for family, table in self.tables.items():
                _check_references(table)
                if before := json.loads(saved).get(family):
                    _check_safe(before, table)
        except Refused:
            self.tables = json.loads(saved)
            raise

    def _add(self, kind: str, body) -> None:
        if kind == "table":
            self.tables.setdefault(body["family"], {k: {} for k in KINDS})
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
        case {"target": str(name)} | {"counter": str(name)} | {"limit": str(name)}:
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
    known = {name for kind in KINDS for name in table[kind]}
    if missing := _named(table) - known:
        raise Refused(f"no such things: {sorted(missing)}")


def _check_safe(before, after) -> None:
    """Refuse what changes under a packet that began before: it sees old rules, and elements as they are now."""
    for name, chain in before["chain"].items():
        rules = after["chain"].get(name, {"rules": []})["rules"]
        if rules == chain["rules"] or name not in _reachable(before):
            continue
        if any("goto" not in statement for rule in chain["rules"] for statement in rule):
            raise Refused(f"{name} was in use and is no mere gate")
        for target in _targets(rules):
            if _has_intervals(after["chain"][target]["rules"]) and target not in before["chain"]:
                raise Refused(f"{name} leads to intervals that are not there yet")
    for name, known in after["map"].items():
        for key, value in known["elements"].items():
            was = before["map"][name]["elements"].get(key)
            if was == value or isinstance(value, str):
                continue
            if was is not None or not before["chain"].get(value["goto"]["target"], {"rules": []})["rules"]:
                raise Refused(f"{name}: {key} leads where nothing was")


def _reachable(table) -> set[str]:
    found: set[str] = set()
    elements = (value for known in table["map"].values() for value in known["elements"].values())
    todo = [value["goto"]["target"] for value in elements if not isinstance(value, str)]
    while todo:
        if (name := todo.pop()) not in found:
            found.add(name)
            todo += _targets(table["chain"][name]["rules"])
    return found


def _targets(rules) -> set[str]:
    found: set[str] = set()
    _collect([statement for rule in rules for statement in rule if {"goto", "vmap"} & set(statement)], found)
    return found


def _has_intervals(rules) -> bool:
    text = json.dumps(rules)
    return '"range"' in text or '{"set": [{"prefix"' in text
