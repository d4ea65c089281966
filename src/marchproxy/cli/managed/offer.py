"""Offer: a file as what is sent to a manager, and the revision that it was made from."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from marchproxy.cli.failing import warn
from marchproxy.cli.file import FileDocument, load_file
from marchproxy.cli.validate import refuse
from marchproxy.contract.document import encode, read_plain
from marchproxy.kit.settings import Problem, SettingsError
from marchproxy.model.changes import HIDDEN, SECTIONS
from marchproxy.model.problem import InvalidValue

_BASE = re.compile(r"#\s*revision:\s*(\d{1,15})\s*")


@dataclass(frozen=True, slots=True)
class Offer:
    """A desired state as JSON. `base`: the revision that it was made from; None: the file does not say."""

    content: bytes
    base: int | None


def read_offer(file: Path, *, as_json: bool) -> Offer:
    """The desired state of a file, checked as `marchproxy validate` does. Raises typer.Exit when it has errors.

    Where an export hides secrets, which the manager puts back, it is the manager that checks.
    """
    try:
        text = file.read_bytes()
    except OSError as error:
        problem = Problem("", f"cannot be read: {error.strerror or error}", None, str(file))
        refuse(file, SettingsError([problem]), as_json=as_json)
    base = base_of(text.decode(errors="replace"))
    try:
        loaded = load_file(file, os.environ)
    except SettingsError as error:
        if HIDDEN.encode() in text:
            return Offer(_unchecked(file, text, error, as_json=as_json), base)
        refuse(file, error, as_json=as_json)
    if loaded.document.nlb is not None:  # else it is a desired state alone, which need not say who serves it
        for problem in loaded.warnings:
            warn(problem.render())
    return Offer(encode(loaded.state), base)


def base_of(text: str) -> int | None:
    """What the comments at the top say after `revision:`, as an export begins."""
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            return None
        if found := _BASE.fullmatch(line):
            return int(found[1])
    return None


def desired(document: Mapping[str, Any]) -> bytes:
    """The desired state alone, without the sections of processes."""
    return orjson.dumps({name: items for name, items in document.items() if name in SECTIONS})


def _unchecked(file: Path, text: bytes, error: SettingsError, *, as_json: bool) -> bytes:
    try:
        document = read_plain(text)
    except InvalidValue:
        refuse(file, error, as_json=as_json)
    if not isinstance(document, dict) or not document.keys() <= FileDocument.model_fields.keys():
        refuse(file, error, as_json=as_json)
    return desired(document)
