"""Worker: the relay in a process of its own, so that no work of the NLB delays a byte, and that it outlives the NLB.

`python -m marchproxy.nlb.dataplane.relay.worker --socket PATH`. It carries what it was last told until it is told
otherwise; SIGTERM ends it once its connections have ended or have had their time.
"""

import argparse
import asyncio
import resource
from collections.abc import Sequence

from marchproxy.engines.workers.desk import Desk
from marchproxy.engines.workers.words import Count, Done, Refused
from marchproxy.kit import logs
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.listening import BindError, PortInUse
from marchproxy.kit.tasks import run, run_service
from marchproxy.nlb.dataplane.relay.carrier import Carrier
from marchproxy.nlb.dataplane.relay.limits import RelayLimits
from marchproxy.nlb.dataplane.relay.talk import (
    LINE,
    Answer,
    Apply,
    Closed,
    Drain,
    Question,
    Shed,
    report,
)

_log = logs.get_logger(__name__)
_MOST_CONNECTIONS = 100_000
_OTHER_DESCRIPTORS = 256


class Answering:
    """What the worker answers an NLB."""

    def __init__(self, carrier: Carrier, group: asyncio.TaskGroup) -> None:
        self.drain_seconds = 0.0
        self._carrier = carrier
        self._group = group

    async def answer(self, question: Question) -> Answer:
        """Do what is asked."""
        match question:
            case Apply(forwarding, drain_seconds):
                self.drain_seconds = drain_seconds
                try:
                    await self._carrier.apply(forwarding, drain_seconds=drain_seconds)
                except BindError as error:
                    return Refused(str(error), in_use=isinstance(error, PortInUse))
                return Done()
            case Count():
                carrier = self._carrier
                return report(carrier.counts(), carrier.addresses(), carrier.connections())
            case Shed(instance_id, count, listener):
                return Closed(self._carrier.shed(instance_id, count, listener=listener))
            case Drain(seconds):
                self._group.create_task(self._carrier.stop(seconds))
                return Done()


async def serve(path: str, stop: asyncio.Event, *, shared_ports: bool) -> None:
    """Answer at the Unix socket `path` until `stop` is set, then drain. Raises OSError."""
    async with asyncio.TaskGroup() as group:
        carrier = Carrier(group, _limits(), SystemClock(), shared_ports=shared_ports)
        answering = Answering(carrier, group)
        desk = Desk(LINE, answering.answer)
        server = await asyncio.start_unix_server(desk.talk, path)
        _log.info("relay worker ready", socket=path)
        await stop.wait()
        server.close()
        desk.hang_up()
        left = await carrier.stop(answering.drain_seconds)
        _log.info("relay worker ends", cut=left)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one worker."""
    parser = argparse.ArgumentParser(prog="marchproxy-relay-worker")
    parser.add_argument("--socket", required=True, help="path of the Unix socket to answer at")
    parser.add_argument("--shared-ports", action="store_true", help="other workers listen on the same ports")
    parser.add_argument("--log-level", default="info")
    told = parser.parse_args(arguments)
    logs.configure(level=told.log_level, json=True)
    run(
        lambda: run_service(
            lambda stop: serve(told.socket, stop, shared_ports=told.shared_ports), patient=True
        )
    )


def _limits() -> RelayLimits:
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max((descriptors - _OTHER_DESCRIPTORS) // 2, 1)
    return RelayLimits(max_connections=min(most, _MOST_CONNECTIONS))


if __name__ == "__main__":
    main()
