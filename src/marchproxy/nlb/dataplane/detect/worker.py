"""Detect worker: one relay process as the NLB sees it."""

from functools import cache
from pathlib import Path
from typing import TypeAlias

from marchproxy.engines.workers.process import Recipe, WorkerProcess, code_of
from marchproxy.kit.clock import Clock
from marchproxy.nlb.dataplane.plane import PlaneUnavailable
from marchproxy.nlb.dataplane.relay.talk import LINE, VERSION, Answer, Question

RelayWorker: TypeAlias = WorkerProcess[Question, Answer]

_NAME = "relay worker"
_MODULE = "marchproxy.nlb.dataplane.relay.worker"
_CODE = ("nlb/dataplane/relay", "nlb/dataplane/plane.py", "engines/workers", "model", "wire")


def relay_worker(folder: Path, index: int, *, shared_ports: bool, clock: Clock) -> RelayWorker:
    """Worker number `index` of the folder; what it raises is PlaneUnavailable."""
    options = ("--shared-ports",) if shared_ports else ()
    recipe = Recipe(_NAME, _MODULE, _code(), PlaneUnavailable, options)
    return WorkerProcess(folder, index, recipe, LINE, clock=clock)


@cache
def _code() -> str:
    return code_of(VERSION, _CODE)
