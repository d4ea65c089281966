"""An ALB with TLS in front of one backend, for clients that break the rules of HTTP/2."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.authority import Authority
from tests.real.support.backends import Backend, serving
from tests.real.support.frames import Frames, frames
from tests.real.support.https import SecureAlb, curl, trusting


@dataclass
class World:
    alb: SecureAlb
    ca: Path
    backend: Backend

    def h2(self) -> AbstractAsyncContextManager[Frames]:
        """A connection over TLS."""
        return frames(self.alb.tls, tls=trusting(self.ca, "h2"))

    async def serves(self) -> bool:
        """Whether a client that behaves is served."""
        return (await curl(self.alb.tls, "https://web.test/", "--http2", ca=self.ca)).status == 200


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[World]:
    """It answers to web.test, whatever is asked."""
    authority = Authority(folder)
    issued = authority.issue("web", ["web.test"])
    async with serving("a") as (backend,):
        state = {
            "routes": [{"id": "web", "backends": ["web"]}],
            "pools": [{"name": "web", "endpoints": [backend.address]}],
        }
        alb = SecureAlb(folder, state, https={"certificates": [issued.settings]})
        try:
            yield World(await alb.start(), authority.certificate, backend)
        finally:
            await alb.close()
