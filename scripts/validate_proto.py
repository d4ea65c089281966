"""Checks the .proto files against the rules of the contract (proto/README.md). Run by scripts/validate-proto.sh.

Reads a descriptor set, so what is checked is what the compiler understood. Every fault is listed, not the first.
"""
# ruff: noqa: INP001 - a script, not part of a package

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

PACKAGE = "marchproxy"
RPC_COUNTS = {"ModuleService": 25, "NLBService": 21}
FIRST_FREE_NUMBER = 16  # numbers below are kept for the messages that wire.json fixes

_TIME_NAME = re.compile(r"(.*_at|(.*_)?time|since|(.*_)?timestamp|.*_started|last_.*)")
_TIMESTAMP = "google.protobuf.Timestamp"
_OWN = f".{PACKAGE}."
# field numbers within descriptor.proto, of which SourceCodeInfo paths consist
_MESSAGES, _ENUMS, _SERVICES, _FIELDS, _VALUES, _METHODS = 4, 5, 6, 2, 2, 2

Fixed = Mapping[str, Any]


class CompileError(Exception):
    """The compiler refused the files; the message is its own."""


def compile_protos(root: Path) -> list[FileDescriptorProto]:
    """The descriptors, with comments, of every .proto below `root`/marchproxy. Raises CompileError."""
    files = sorted(str(path.relative_to(root)) for path in (root / PACKAGE).glob("*.proto"))
    if not files:
        raise CompileError(f"no .proto files in {root / PACKAGE}")
    with tempfile.TemporaryDirectory() as work:
        out = Path(work) / "set"
        options = [f"-I{root}", f"--descriptor_set_out={out}", "--include_source_info"]
        done = subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", *options, *files],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        if done.returncode != 0:
            raise CompileError(done.stderr.strip() or f"the compiler ended with {done.returncode}")
        return list(FileDescriptorSet.FromString(out.read_bytes()).file)


def check_package(file: FileDescriptorProto) -> Iterator[str]:
    """The package is ours, the syntax proto3, and Go knows where the code belongs."""
    if file.package != PACKAGE:
        yield f'package is "{file.package}", not "{PACKAGE}"'
    if file.syntax != "proto3":
        yield "syntax is not proto3"
    if not file.options.go_package:
        yield "option go_package is missing"


def check_zero_values(file: FileDescriptorProto) -> Iterator[str]:
    """An enum's zero means that nothing was given."""
    for name, enum in _enums(file):
        zero = next((value.name for value in enum.value if value.number == 0), "")
        expected = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper() + "_UNSPECIFIED"
        if zero != expected:
            yield f"{name}: the zero value is {zero}, not {expected}"


def check_times(file: FileDescriptorProto) -> Iterator[str]:
    """A point in time is a google.protobuf.Timestamp."""
    for name, message in _messages(file):
        for field in message.field:
            if _TIME_NAME.fullmatch(field.name) and field.type_name != f".{_TIMESTAMP}":
                yield f"{name}.{field.name}: a point in time must be a {_TIMESTAMP}"


def check_aliases(file: FileDescriptorProto) -> Iterator[str]:
    """No enum value shares its number. (Reused and reserved numbers of fields the compiler itself refuses.)"""
    for name, enum in _enums(file):
        first: dict[int, str] = {}
        for value in enum.value:
            if first.setdefault(value.number, value.name) != value.name:
                yield f"{name}.{value.name} = {value.number}: the number of {first[value.number]}"


def check_comments(file: FileDescriptorProto) -> Iterator[str]:
    """Every message, field, enum, value, service and RPC says what it means."""
    commented = {
        tuple(place.path)
        for place in file.source_code_info.location
        if place.leading_comments.strip() or place.trailing_comments.strip()
    }
    for path, name in _places(file):
        if path not in commented:
            yield f"{name}: no comment"


def check_additions(file: FileDescriptorProto, fixed: Fixed) -> Iterator[str]:
    """What is added to a fixed message leaves the first fifteen numbers alone."""
    known = fixed["files"].get(file.name, {"messages": {}})["messages"]
    for name, message in _messages(file):
        if name not in known:
            continue
        for field in message.field:
            if field.name not in known[name] and field.number < FIRST_FREE_NUMBER:
                yield f"{name}.{field.name} = {field.number}: additions start at {FIRST_FREE_NUMBER}"


def check_superset(files: Iterable[FileDescriptorProto], fixed: Fixed) -> Iterator[str]:
    """Everything in wire.json is there, in its file, with its number and type."""
    present = {file.name: wire_form(file) for file in files}
    for name, part in fixed["files"].items():
        if name not in present:
            yield f"{name}: missing"
            continue
        for kind in ("enums", "messages", "services"):
            for owner, members in part[kind].items():
                where = present[name][kind].get(owner)
                if where is None:
                    yield f"{owner}: missing from {name}"
                    continue
                for member, expected in members.items():
                    if where.get(member) != expected:
                        yield f"{owner}.{member}: is {where.get(member, 'missing')}, fixed as {expected}"


def check_rpc_counts(files: Iterable[FileDescriptorProto]) -> Iterator[str]:
    """The services have the RPCs that the contract counts."""
    counts = {service.name: len(service.method) for file in files for service in file.service}
    for name, expected in RPC_COUNTS.items():
        if counts.get(name) != expected:
            yield f"{name}: {counts.get(name, 'no')} RPCs, not {expected}"


def wire_form(file: FileDescriptorProto) -> dict[str, dict[str, dict[str, Any]]]:
    """The file in the form of wire.json: enums, messages and services by name."""
    return {
        "enums": {name: {value.name: value.number for value in enum.value} for name, enum in _enums(file)},
        "messages": {
            name: {field.name: [field.number, _type_of(field, message)] for field in message.field}
            for name, message in _messages(file)
        },
        "services": {
            service.name: {
                method.name: [
                    "stream " * method.client_streaming + method.input_type.removeprefix(_OWN),
                    "stream " * method.server_streaming + method.output_type.removeprefix(_OWN),
                ]
                for method in service.method
            }
            for service in file.service
        },
    }


def find_faults(files: list[FileDescriptorProto], fixed: Fixed) -> dict[str, list[str]]:
    """Every rule, and what breaks it."""
    per_file: dict[str, Callable[[FileDescriptorProto], Iterator[str]]] = {
        "package, syntax, go_package": check_package,
        "zero values end in _UNSPECIFIED": check_zero_values,
        "points in time are Timestamps": check_times,
        "enum numbers are used once": check_aliases,
        f"additions are numbered from {FIRST_FREE_NUMBER}": lambda file: check_additions(file, fixed),
        "everything has a comment": check_comments,
    }
    faults = {
        rule: [f"{file.name}: {fault}" for file in files for fault in check(file)]
        for rule, check in per_file.items()
    }
    faults["the fixed contract is contained"] = list(check_superset(files, fixed))
    counts = " and ".join(f"{count} in {name}" for name, count in RPC_COUNTS.items())
    faults[f"RPCs: {counts}"] = list(check_rpc_counts(files))
    return faults


def main(arguments: list[str]) -> int:
    """Print a line per rule and a line per fault; 1 when there is one."""
    parser = argparse.ArgumentParser(description="Check the .proto files against the rules of the contract.")
    parser.add_argument("root", type=Path, help="the folder that holds marchproxy/*.proto")
    parser.add_argument("--fixed", type=Path, required=True, help="the fixed contract, wire.json")
    options = parser.parse_args(arguments)
    try:
        faults = find_faults(compile_protos(options.root), json.loads(options.fixed.read_text()))
    except (CompileError, OSError, ValueError) as error:
        _say(ok=False, text=f"compiles\n{error}")
        return 1
    _say(ok=True, text="compiles; no number or name is reused or reserved")
    for rule, found in faults.items():
        _say(ok=not found, text="\n       ".join([rule, *found]))
    return int(any(faults.values()))


def _say(*, ok: bool, text: str) -> None:
    word, colour = ("ok", 32) if ok else ("fail", 31)
    shown = f"\033[{colour}m{word:4}\033[0m" if sys.stdout.isatty() else f"{word:4}"
    sys.stdout.write(f"{shown} {text}\n")


def _messages(file: FileDescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
    pending = [(message.name, message) for message in file.message_type]
    while pending:
        name, message = pending.pop(0)
        if not message.options.map_entry:
            yield name, message
            pending += [(f"{name}.{nested.name}", nested) for nested in message.nested_type]


def _enums(file: FileDescriptorProto) -> Iterator[tuple[str, EnumDescriptorProto]]:
    yield from ((enum.name, enum) for enum in file.enum_type)
    for name, message in _messages(file):
        yield from ((f"{name}.{enum.name}", enum) for enum in message.enum_type)


def _places(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    for i, message in enumerate(file.message_type):
        yield (_MESSAGES, i), message.name
        for j, field in enumerate(message.field):
            yield (_MESSAGES, i, _FIELDS, j), f"{message.name}.{field.name}"
    for i, enum in enumerate(file.enum_type):
        yield (_ENUMS, i), enum.name
        for j, value in enumerate(enum.value):
            yield (_ENUMS, i, _VALUES, j), f"{enum.name}.{value.name}"
    for i, service in enumerate(file.service):
        yield (_SERVICES, i), service.name
        for j, method in enumerate(service.method):
            yield (_SERVICES, i, _METHODS, j), f"{service.name}.{method.name}"


def _type_of(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    entry = next((item for item in message.nested_type if field.type_name.endswith(f".{item.name}")), None)
    if entry is not None and entry.options.map_entry:
        return f"map<{_type_of(entry.field[0], entry)}, {_type_of(entry.field[1], entry)}>"
    name = field.type_name or FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
    return "repeated " * repeated + name.removeprefix(_OWN).removeprefix(".")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
