"""nginx-rtmp as an origin of streams, which may be killed, started again, and asked what it has."""

import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx

from tests.ports import free_port
from tests.real.support.process import Started, start
from tests.real.support.waiting import until

_CONFIGURATION = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log info;
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
events {{ worker_connections 1024; }}
rtmp {{
    access_log {folder}/access.log;
    server {{
        listen 127.0.0.1:{port}{listen};
        application live {{ live on; publish_notify on; {options} }}
    }}
}}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{http}; location /stat {{ rtmp_stat all; }} }}
}}
"""


class RtmpOrigin:
    """One nginx with the app `live`; its ports stay the same when it is started again."""

    def __init__(self, folder: Path, *, options: str = "", listen: str = "") -> None:
        self.folder, self.port, self._http = folder, free_port(), free_port()
        folder.mkdir()
        text = _CONFIGURATION.format(
            folder=folder, port=self.port, http=self._http, options=options, listen=listen
        )
        (folder / "nginx.conf").write_text(text)
        self._process: Started | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def access_log(self) -> str:
        return (self.folder / "access.log").read_text()

    async def start(self) -> None:
        """Run it until it answers."""
        command = ("nginx", "-e", "stderr", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"))
        self._process = await start(command, self.folder / "output.log")

        async def answers() -> bool:
            assert self._process is not None
            assert self._process.running, self._process.log.read_text()
            try:
                await self._ask()
            except httpx.HTTPError:
                return False
            return True

        await until(answers)

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Have it end at once, and wait for that."""
        assert self._process is not None
        self._process.send(number)
        await self._process.ended(20)

    def send(self, number: signal.Signals) -> None:
        """SIGSTOP and SIGCONT, for instance."""
        assert self._process is not None
        self._process.send(number)

    async def end(self) -> None:
        """Stop it if it runs."""
        if self._process is not None:
            await self._process.end()

    async def streams(self) -> Mapping[str, int]:
        """The streams that somebody publishes there, with the number of their players."""
        found = {}
        for stream in ET.fromstring(await self._ask()).iter("stream"):
            if stream.find("publishing") is not None:
                clients = int(stream.findtext("nclients", "0"))
                found[stream.findtext("name", "")] = clients - 1
        return found

    async def _ask(self) -> str:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{self._http}/stat")).raise_for_status().text


@asynccontextmanager
async def rtmp_origins(folder: Path, count: int = 1, **more: str) -> AsyncIterator[Sequence[RtmpOrigin]]:
    """So many running origins."""
    origins = [RtmpOrigin(folder / f"origin{number}", **more) for number in range(count)]
    async with AsyncExitStack() as stack:
        for origin in origins:
            stack.push_async_callback(origin.end)
            await origin.start()
        yield origins


def pool(name: str, origins: Sequence[RtmpOrigin], **more: Any) -> dict[str, Any]:
    """A pool of these, as a file says it."""
    return {"name": name, "protocol": "rtmp", "endpoints": [one.address for one in origins], **more}


def to_pools(*names: str, **options: Any) -> dict[str, Any]:
    """A route that sends every stream to these pools, the first of which gets all."""
    backends = [{"pool": name, "weight": 0 if number else 100} for number, name in enumerate(names)]
    return {"id": "there", "protocol": "rtmp", "module": "rtmp", "backends": backends, **options}
