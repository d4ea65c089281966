"""The file of routes: those of the configuration, and the routing table.

Most entries of the table are what the configuration says; only the others are written out a second time.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from google.protobuf import json_format

from marchproxy.contract.convert.route import route_from_pb, route_to_pb
from marchproxy.contract.document import Encoder
from marchproxy.contract.pb import types_pb2
from marchproxy.model.route import Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.nlb.service.memory.saved import FORMAT, Saved
from marchproxy.nlb.state.table import Entry, RoutingTable


class RoutesText:
    """Makes the file's content. What did not change since the last time is not encoded again."""

    def __init__(self) -> None:
        self._encoder = Encoder()
        self._entries: dict[RouteId, tuple[Entry, Route | None, str]] = {}

    def dump(self, saved: Saved) -> bytes:
        """The content."""
        routes = saved.desired.routes
        desired = self._encoder.encode(DesiredState(routes=routes)).decode()
        configured = {route.route_id: route for route in routes}
        self._entries = {
            route_id: self._of(route_id, entry, configured.get(route_id))
            for route_id, entry in saved.table.entries.items()
        }
        table = ",\n".join(text for _, _, text in self._entries.values())
        return f'{{"format": {FORMAT}, "desired": {desired}, "table": [\n{table}\n]}}'.encode()

    def _of(
        self, route_id: RouteId, entry: Entry, configured: Route | None
    ) -> tuple[Entry, Route | None, str]:
        known = self._entries.get(route_id)
        if known is not None and known[0] is entry and known[1] is configured:
            return known
        return entry, configured, json.dumps(_dump_entry(route_id, entry, configured))


def parse_table(items: Iterable[Mapping[str, Any]], configured: Iterable[Route]) -> RoutingTable:
    """The table, from that part of the file. Raises ValueError, KeyError, TypeError or ParseError."""
    known = {route.route_id: route for route in configured}
    entries = [_parse_entry(item, known) for item in items]
    return RoutingTable({entry.route.route_id: entry for entry in entries})


def _dump_entry(route_id: RouteId, entry: Entry, configured: Route | None) -> dict[str, Any]:
    return {
        "id": route_id,
        "announced": [
            {"source": source}
            if route is configured
            else {"source": source, "route": json_format.MessageToDict(route_to_pb(route))}
            for source, route in entry.announced
        ],
        "created_at": entry.created_at.isoformat(),
    }


def _parse_entry(item: Mapping[str, Any], configured: Mapping[RouteId, Route]) -> Entry:
    announced = tuple(
        (
            str(each["source"]),
            route_from_pb(json_format.ParseDict(each["route"], types_pb2.Route()))
            if "route" in each
            else configured[RouteId(item["id"])],
        )
        for each in item["announced"]
    )
    if not announced:
        raise ValueError("a route that nobody announced")
    return Entry(announced, datetime.fromisoformat(item["created_at"]))
