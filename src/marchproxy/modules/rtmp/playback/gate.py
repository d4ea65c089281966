"""Gate: whether somebody may watch a stream."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from marchproxy.model.streams import StreamKey
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.plan import RoutePlan

#: Why somebody may not watch a stream of a route, by the query of the URL, in words; empty: they may. The key has the host
#: that the viewer named.
Gate: TypeAlias = Callable[[RoutePlan, StreamKey, str, Arrival], Awaitable[str]]
