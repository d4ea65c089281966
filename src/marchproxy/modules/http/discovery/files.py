"""Endpoints in a file: a YAML or JSON list of `host:port`, or of mappings with `address` and `weight`.

A file that is half written, garbled or gone is no statement: the endpoints that it gave last stay.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from marchproxy.model.rules import check_address, ip_address
from marchproxy.modules.http.discovery.found import NothingFound
from marchproxy.modules.http.resources.endpoints import Target, split_address

_LARGEST_FILE = 1_000_000
_HEAVIEST = 100


def read_endpoints(path: str) -> tuple[Target, ...]:
    """The endpoints in the file, in its order; an empty list is one. Raises NothingFound with what is wrong."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise NothingFound(f"{path}: {error.strerror or error}") from error
    if len(content) > _LARGEST_FILE:
        raise NothingFound(f"{path}: larger than {_LARGEST_FILE} bytes")
    entries = _entries(path, content)
    targets = tuple(_target(path, number, entry) for number, entry in enumerate(entries))
    if len({target.address for target in targets}) < len(targets):
        raise NothingFound(f"{path}: an address is given more than once")
    return targets


def _entries(path: str, content: bytes) -> list[Any]:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise NothingFound(f"{path}: not UTF-8") from error
    try:
        entries = json.loads(text)
    except ValueError:
        try:
            entries = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError) as error:
            raise NothingFound(f"{path}: neither JSON nor YAML") from error
    if not isinstance(entries, list):
        # what an editor or a copy empties first and fills later must not take away every endpoint
        raise NothingFound(f"{path}: not a list of endpoints; [] is one without any")
    return entries


def _target(path: str, number: int, entry: object) -> Target:
    match entry:
        case str(address):
            target = Target(address)
        case {"address": str(address), **rest} if not rest.keys() - {"weight"}:
            target = Target(address, _weight(path, number, rest.get("weight", 1)))
        case _:
            raise NothingFound(f"{path}: entry {number}: not host:port, nor address and weight")
    for problem in check_address(target.address, "address"):
        raise NothingFound(f"{path}: entry {number}: {problem.message}")
    if ip_address(split_address(target.address)[0]) is None:
        raise NothingFound(f"{path}: entry {number}: {target.address} is a host name, not an IP address")
    return target


def _weight(path: str, number: int, weight: object) -> int:
    if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= _HEAVIEST:
        raise NothingFound(f"{path}: entry {number}: weight {weight!r} is not between 1 and {_HEAVIEST}")
    return weight
