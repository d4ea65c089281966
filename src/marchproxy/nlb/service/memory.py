"""Memory: what survives a restart of the NLB process, in one file. A file that cannot be read costs nothing but the memory."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from marchproxy.contract.convert.instance import instance_from_pb, instance_to_pb
from marchproxy.contract.convert.route import route_from_pb, route_to_pb
from marchproxy.contract.document import decode, encode
from marchproxy.contract.document.progress import dump_ramps, dump_shifts, parse_ramps, parse_shifts
from marchproxy.contract.pb import types_pb2
from marchproxy.kit.files import write_atomically
from marchproxy.kit.logs import get_logger
from marchproxy.model.module import InstanceId
from marchproxy.model.plan import Verdict
from marchproxy.model.route import Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.nlb.state.member import Member, Moment
from marchproxy.nlb.state.progress import Progress
from marchproxy.nlb.state.table import Entry, RoutingTable
from marchproxy.nlb.state.verdicts import Answer

_log = get_logger(__name__)
_FORMAT = 3
# What forwarding rests on is saved before it is applied; this is for the rest, such as the routing table.
_DEBOUNCE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Saved:
    """Members, table, answers about listeners, and the configuration with the checksum of the file it grew from.

    `checksum` is that of the document; `progress` what version RPCs did to it since.
    """

    members: tuple[Member, ...] = ()
    table: RoutingTable = field(default_factory=RoutingTable)
    answers: Mapping[tuple[InstanceId, str], Answer] = field(default_factory=dict)
    desired: DesiredState = field(default_factory=DesiredState)
    base: str = ""
    checksum: str = ""
    progress: Progress = field(default_factory=Progress)


class Saver:
    """Writes what `take` returns soon after a `touch`."""

    def __init__(self, path: Path, take: Callable[[], Saved] | None = None) -> None:
        self.take = take
        self._path = path
        self._touched = asyncio.Event()
        self._writing = asyncio.Lock()

    def touch(self) -> None:
        """Something worth remembering changed."""
        self._touched.set()

    async def run(self) -> None:
        """Save until cancelled."""
        while True:
            await self._touched.wait()
            await asyncio.sleep(_DEBOUNCE_SECONDS)
            await self.save()

    async def save(self) -> None:
        """Save now. A disk that refuses is logged: forwarding goes on, the next restart starts from an older state."""
        if self.take is None:
            return
        async with self._writing:
            self._touched.clear()
            data = dump(self.take())
            try:
                await asyncio.to_thread(write_atomically, self._path, data)
            except OSError as error:
                _log.error("state could not be saved", file=str(self._path), reason=str(error))


def dump(saved: Saved) -> bytes:
    """The file's content."""
    document = {
        "format": _FORMAT,
        "base": saved.base,
        "checksum": saved.checksum,
        "progress": _dump_progress(saved.progress),
        "desired": json.loads(encode(saved.desired)),
        "members": [_dump_member(member) for member in saved.members],
        "routes": [_dump_entry(entry) for entry in saved.table.entries.values()],
        "verdicts": [
            {"instance": instance, "listener": listener, **_dump_verdict(answer.verdict)}
            for (instance, listener), answer in saved.answers.items()
        ],
    }
    return json.dumps(document, indent=1).encode()


def load(path: Path, now: Moment) -> Saved:
    """What was saved, or nothing when there is no file or it cannot be understood."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Saved()
    except OSError as error:
        _log.error("saved state cannot be read; starting without", file=str(path), reason=str(error))
        return Saved()
    try:
        return parse(data, now)
    except (ValueError, KeyError, TypeError, AttributeError, json_format.ParseError) as error:
        _log.error("saved state is damaged; starting without", file=str(path), reason=repr(error))
        return Saved()


def parse(data: bytes, now: Moment) -> Saved:
    """Read a file's content. Raises ValueError, KeyError, TypeError or AttributeError on anything else."""
    document = json.loads(data)
    if document["format"] != _FORMAT:
        raise ValueError(f"format {document['format']} is not {_FORMAT}")
    entries = [_parse_entry(item) for item in document["routes"]]
    return Saved(
        members=tuple(_parse_member(item, now) for item in document["members"]),
        table=RoutingTable({entry.route.route_id: entry for entry in entries}),
        answers=_parse_answers(document["verdicts"]),
        desired=decode(json.dumps(document["desired"]).encode()),
        base=str(document["base"]),
        checksum=str(document["checksum"]),
        progress=_parse_progress(document["progress"]),
    )


def _dump_progress(progress: Progress) -> dict[str, Any]:
    return {
        "modified": progress.modified,
        "shifts": dump_shifts(progress.shifts),
        "ramps": dump_ramps(progress.ramps),
    }


def _parse_progress(item: Mapping[str, Any]) -> Progress:
    return Progress(bool(item["modified"]), parse_shifts(item["shifts"]), parse_ramps(item["ramps"]))


def _dump_member(member: Member) -> dict[str, Any]:
    return {
        "instance": json_format.MessageToDict(instance_to_pb(member.instance)),
        "registration_id": member.registration_id,
        "registered_at": member.registered_at.isoformat(),
    }


def _parse_member(item: Mapping[str, Any], now: Moment) -> Member:
    pb = json_format.ParseDict(item["instance"], types_pb2.ModuleInstance())
    registered_at = datetime.fromisoformat(item["registered_at"])
    return Member(instance_from_pb(pb), str(item["registration_id"]), registered_at, now)


def _dump_entry(entry: Entry) -> dict[str, Any]:
    return {
        "announced": [
            {"source": source, "route": json_format.MessageToDict(route_to_pb(route))}
            for source, route in entry.announced
        ],
        "created_at": entry.created_at.isoformat(),
    }


def _parse_entry(item: Mapping[str, Any]) -> Entry:
    announced = tuple(
        (str(each["source"]), route_from_pb(json_format.ParseDict(each["route"], types_pb2.Route())))
        for each in item["announced"]
    )
    if not announced:
        raise ValueError("a route that nobody announced")
    return Entry(announced, datetime.fromisoformat(item["created_at"]))


def _dump_verdict(verdict: Verdict) -> dict[str, Any]:
    return {"can_handle": verdict.can_handle, "priority": verdict.priority, "reason": verdict.reason}


def _parse_answers(items: list[Mapping[str, Any]]) -> dict[tuple[InstanceId, str], Answer]:
    # the registration is left empty: these answers hold until the instance is asked again, which is at once
    return {
        (InstanceId(item["instance"]), str(item["listener"])): Answer(
            Verdict(bool(item["can_handle"]), int(item["priority"]), str(item["reason"])),
            registration_id="",
            route=Route(RouteId("")),
        )
        for item in items
    }
