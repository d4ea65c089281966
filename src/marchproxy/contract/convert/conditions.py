"""Conditions of routes on paths, headers and query strings."""

from collections.abc import Sequence
from typing import assert_never

from marchproxy.contract.convert.enums import PATH_KINDS
from marchproxy.contract.convert.faults import Faults
from marchproxy.contract.pb import types_pb2
from marchproxy.model.route import HeaderKind, HeaderMatch, PathKind, PathMatch, QueryMatch


def path_to_pb(match: PathMatch) -> tuple[str, types_pb2.PathMatchKind.ValueType]:
    """The pattern, and how it is read: in the notation of the oldest clients where there is one."""
    short = types_pb2.PATH_MATCH_KIND_UNSPECIFIED
    match match.kind:
        case PathKind.EXACT:
            return f"={match.value}", short
        case PathKind.REGEX:
            return f"~{match.value}", short
        case PathKind.PREFIX:
            is_plain = match.value.startswith("/") and not match.value.endswith("*")
            return match.value, short if is_plain else types_pb2.PATH_MATCH_KIND_PREFIX
        case PathKind.TEMPLATE:
            return match.value, types_pb2.PATH_MATCH_KIND_TEMPLATE
    assert_never(match.kind)


def read_path(pb: types_pb2.Route, path: str, faults: Faults) -> PathMatch:
    """The path of a route as far as it can be read."""
    pattern = pb.path_pattern
    kind = PATH_KINDS.read(pb.path_match, f"{path}.path_match", faults)
    if kind is not None:
        return PathMatch(kind, pattern) if pattern or kind is not PathKind.PREFIX else PathMatch()
    if pattern.startswith("~"):
        return PathMatch(PathKind.REGEX, pattern[1:])
    if pattern.startswith("="):
        return PathMatch(PathKind.EXACT, pattern[1:])
    if pattern.endswith("*"):
        pattern = pattern[:-1].removesuffix("/")
    return PathMatch(PathKind.PREFIX, pattern or "/")


def plain_headers(headers: Sequence[HeaderMatch]) -> Sequence[HeaderMatch]:
    """The leading headers that a map can hold without changing their order, which is by name there."""
    count = 0
    for header in headers:
        if header.kind is not HeaderKind.EXACT or header.invert:
            break
        if count and header.name <= headers[count - 1].name:
            break
        count += 1
    return headers[:count]


def header_to_pb(header: HeaderMatch) -> types_pb2.HeaderMatch:
    """The message."""
    pb = types_pb2.HeaderMatch(name=header.name, invert=header.invert)
    _set_condition(pb, header)
    return pb


def header_from_pb(pb: types_pb2.HeaderMatch) -> HeaderMatch:
    """The condition."""
    match pb.WhichOneof("match"):
        case "exact":
            return HeaderMatch(pb.name, HeaderKind.EXACT, pb.exact, pb.invert)
        case "prefix":
            return HeaderMatch(pb.name, HeaderKind.PREFIX, pb.prefix, pb.invert)
        case "regex":
            return HeaderMatch(pb.name, HeaderKind.REGEX, pb.regex, pb.invert)
        case "present":
            return HeaderMatch(pb.name, HeaderKind.PRESENT, invert=pb.invert is pb.present)
        case None:
            return HeaderMatch(pb.name, HeaderKind.PRESENT, invert=pb.invert)


def parameter_to_pb(parameter: QueryMatch) -> types_pb2.QueryMatch:
    """The message."""
    pb = types_pb2.QueryMatch(name=parameter.name)
    _set_condition(pb, parameter)
    return pb


def read_parameter(pb: types_pb2.QueryMatch, path: str, faults: Faults) -> QueryMatch:
    """The condition as far as it can be read."""
    match pb.WhichOneof("match"):
        case "exact":
            return QueryMatch(pb.name, HeaderKind.EXACT, pb.exact)
        case "prefix":
            return QueryMatch(pb.name, HeaderKind.PREFIX, pb.prefix)
        case "regex":
            return QueryMatch(pb.name, HeaderKind.REGEX, pb.regex)
        case "present" | None:
            if pb.HasField("present") and not pb.present:
                faults.add(f"{path}.present", "is true where it is given: absence cannot be asked for")
            return QueryMatch(pb.name, HeaderKind.PRESENT)


def _set_condition(pb: types_pb2.HeaderMatch | types_pb2.QueryMatch, match: HeaderMatch | QueryMatch) -> None:
    match match.kind:
        case HeaderKind.EXACT:
            pb.exact = match.value
        case HeaderKind.PREFIX:
            pb.prefix = match.value
        case HeaderKind.REGEX:
            pb.regex = match.value
        case HeaderKind.PRESENT:
            pb.present = True
        case _:
            assert_never(match.kind)
