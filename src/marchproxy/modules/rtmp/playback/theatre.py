"""Theatre: HLS and DASH over HTTP, as the service of a worker that has no streams of its own."""

from collections.abc import Sequence
from pathlib import Path

import xxhash
from aiohttp import web

from marchproxy.kit.logs import get_logger
from marchproxy.model.live_stream import StreamReport
from marchproxy.model.rtmp import Packaging
from marchproxy.model.streams import StreamKey
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.packaging.place import folder_of
from marchproxy.modules.rtmp.plan import RoutePlan, RtmpPlan, Who
from marchproxy.modules.rtmp.playback.asked import Asked, read_url
from marchproxy.modules.rtmp.playback.audience import Audience
from marchproxy.modules.rtmp.playback.carrying import carry
from marchproxy.modules.rtmp.playback.doorman import Doorman
from marchproxy.modules.rtmp.playback.gate import Gate
from marchproxy.modules.rtmp.playback.reply import Content, Reply, cross_origin, preflight, reply_to
from marchproxy.modules.rtmp.playback.store import Store
from marchproxy.modules.rtmp.playback.watching import Watch, ask
from marchproxy.modules.rtmp.service import OriginReport, Surroundings
from marchproxy.wire.hls import iso_time

_log = get_logger(__name__)
_ASK_SECONDS = 5.0
_METHODS = {"GET", "HEAD", "OPTIONS"}
_HERE = "streams are at /APP/STREAM/index.m3u8 (HLS) and /APP/STREAM/manifest.mpd (DASH)"


class Refusal(Exception):
    """Why a request is not granted, and with which status."""

    def __init__(self, status: int, words: str) -> None:
        self.status = status
        super().__init__(words)


class Theatre:
    """A StreamService of viewers."""

    def __init__(self, around: Surroundings, gate: Gate) -> None:
        self._around = around
        self._gate = gate
        self._plan = RtmpPlan()
        self._doorman = Doorman(self._serve, clock=around.clock)
        self._store = Store()
        self._audience = Audience()
        self._asked_at: dict[StreamKey, float] = {}

    def apply(self, plan: RtmpPlan) -> None:
        """Serve by this from now on."""
        self._plan = plan

    def accept(self, arrival: Arrival) -> web.RequestHandler:
        """The protocol of a viewer that has just connected."""
        return self._doorman.accept(arrival)

    def sweep(self) -> None:
        """Let go of viewers that have had their time."""
        now = self._around.clock.monotonic()
        self._doorman.sweep()
        watched = set(self._audience.sweep(now))
        self._asked_at = {key: at for key, at in self._asked_at.items() if key in watched}

    def clients(self) -> int:
        """How many are connected."""
        return len(self._doorman)

    def streams(self) -> Sequence[StreamReport]:
        """None: they are in other workers."""
        return ()

    def origins(self) -> Sequence[OriginReport]:
        """None."""
        return ()

    async def check(self) -> Sequence[OriginReport]:
        """None."""
        return ()

    async def watch(self, key: str, viewers: int = 0) -> str:  # noqa: ARG002 - none is here
        """No stream is here."""
        return "streams are in other workers"

    def drain(self) -> None:
        """Let viewers go."""
        self._doorman.close_idle()

    def close(self) -> None:
        """End everything now."""
        self._doorman.abort()

    async def _serve(self, request: web.BaseRequest, arrival: Arrival) -> web.StreamResponse:
        origin = request.headers.get("Origin", "")
        allowed: tuple[str, ...] = ("*",)
        try:
            if request.method not in _METHODS:
                raise Refusal(405, "only GET, HEAD and OPTIONS")
            if request.path == "/healthz":
                return _said(b'{"status": "live"}\n', "application/json")
            asked, plan, packaging = self._find(request, arrival)
            allowed = packaging.origins
            if request.method == "OPTIONS":
                return _response(preflight(origin, allowed))
            if refusal := await self._gate(plan, asked.key, request.query_string, arrival):
                raise Refusal(403, refusal)
            if asked.is_clock:
                return self._time(origin, allowed)
            data = await self._read(asked, plan.known_as(asked.key), request, arrival)
            content = _content(asked, data, private=bool(plan.options.play))
            reply = reply_to(request.headers, content)
            return _response(reply, data, cross_origin(origin, allowed))
        except Refusal as refusal:
            return _refused(refusal, cross_origin(origin, allowed))

    def _find(self, request: web.BaseRequest, arrival: Arrival) -> tuple[Asked, RoutePlan, Packaging]:
        asked = read_url(request.host, request.path)
        if asked is None:
            raise Refusal(404, f"nothing is here; {_HERE}")
        plan = self._plan.route(Who(asked.key, arrival.client.host, arrival.port))
        if plan is None:
            raise Refusal(404, "no route takes this stream")
        packaging = plan.options.packaging
        if packaging is None or not (packaging.hls or packaging.dash):
            raise Refusal(404, "the route of this stream has no packaging")
        if (asked.is_playlist and not packaging.hls) or (asked.file.endswith(".mpd") and not packaging.dash):
            raise Refusal(404, f"the route of this stream has no {'HLS' if asked.is_playlist else 'DASH'}")
        return asked, plan, packaging

    def _time(self, origin: str, allowed: tuple[str, ...]) -> web.StreamResponse:
        now = iso_time(self._around.clock.now().timestamp()).encode()
        return _said(now, "text/plain", cross_origin(origin, allowed))

    async def _read(self, asked: Asked, key: StreamKey, request: web.BaseRequest, arrival: Arrival) -> bytes:
        path = folder_of(self._around.media, key) / asked.file
        if asked.is_segment:
            return await self._content(path, lasting=True)
        text = await self._list(path, key)
        viewer = f"{arrival.client.host} {request.headers.get('User-Agent', '')[:200]}"
        self._audience.note(
            key, viewer, self._around.clock.monotonic()
        )  # not of what nobody has: names are endless
        return carry(text.decode(), request.query_string, playlist=asked.is_playlist).encode()

    async def _list(self, path: Path, key: StreamKey) -> bytes:
        now = self._around.clock.monotonic()
        due = now - self._asked_at.get(key, -_ASK_SECONDS) >= _ASK_SECONDS
        if due:
            self._asked_at[key] = now
        if path.exists():
            if due:
                self._around.group.create_task(self._ask(key))
        elif trouble := await self._ask(key):
            raise Refusal(404, trouble)
        return await self._content(path, lasting=False)

    async def _ask(self, key: StreamKey) -> str:
        watch = Watch(key.text, self._audience.count(key))
        return await ask(self._around.folder, self._around.workers, watch, key)

    async def _content(self, path: Path, *, lasting: bool) -> bytes:
        try:
            return await self._store.read(path, lasting=lasting)
        except FileNotFoundError:
            raise Refusal(404, "it is not there, or not any more") from None
        except OSError as error:
            _log.error(
                "a file of a stream cannot be read", path=str(path), reason=error.strerror or str(error)
            )
            raise Refusal(503, "the file cannot be read; the log says why") from error


def _content(asked: Asked, data: bytes, *, private: bool) -> Content:
    tag = asked.file if asked.is_segment else xxhash.xxh64_hexdigest(data)
    return Content(len(data), tag, asked.media_type, lasting=asked.is_segment, private=private)


def _response(reply: Reply, data: bytes = b"", headers: dict[str, str] | None = None) -> web.StreamResponse:
    body = b"" if reply.part is None else data[reply.part]
    return web.Response(status=reply.status, headers={**reply.headers, **(headers or {})}, body=body)


def _said(body: bytes, media_type: str, headers: dict[str, str] | None = None) -> web.StreamResponse:
    told = {**(headers or {}), "Cache-Control": "no-store", "Content-Type": media_type}
    return web.Response(headers=told, body=body)


def _refused(refusal: Refusal, headers: dict[str, str]) -> web.StreamResponse:
    headers = {**headers, "Cache-Control": "no-store", "Content-Type": "text/plain; charset=utf-8"}
    if refusal.status == 405:
        headers["Allow"] = ", ".join(sorted(_METHODS))
    return web.Response(status=refusal.status, headers=headers, body=f"{refusal}\n".encode())
