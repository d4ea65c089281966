"""One MarchProxy process for a benchmark: `python -m bench.support.service alb|nlb SETTINGS DOCUMENT`.

SETTINGS is the section of a configuration as JSON, DOCUMENT the desired state, read again at every reload.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

import uvloop

from marchproxy.contract.document import decode
from marchproxy.kit import logs


async def _alb(settings: Path, document: Path) -> None:
    from marchproxy.modules.alb.server import serve  # noqa: PLC0415 - a process imports what it runs, no more
    from marchproxy.modules.alb.settings import AlbSettings  # noqa: PLC0415
    from marchproxy.modules.base.server import Origin, Signals  # noqa: PLC0415

    signals = Signals()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, signals.stop.set)
    section = AlbSettings.model_validate(json.loads(settings.read_bytes()))
    await serve(section, Origin(lambda: decode(document.read_bytes())), signals)


async def _nlb(settings: Path, document: Path) -> None:
    from marchproxy.nlb.server import serve  # noqa: PLC0415
    from marchproxy.nlb.settings import NlbSettings  # noqa: PLC0415

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    section = NlbSettings.model_validate(json.loads(settings.read_bytes()))
    await serve(section, decode(document.read_bytes()), stop)


if __name__ == "__main__":
    logs.configure(level="warning")
    uvloop.run({"alb": _alb, "nlb": _nlb}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3])))
