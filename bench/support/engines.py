"""What stands behind the gateways of bench.ai: the tests' engine simulator for streams, and HAProxy for whole answers."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.support.peer_files import HAPROXY_DEFAULTS
from bench.support.processes import child, python, wait_for_http

_SIMULATOR = "tests.real.support.engine_simulator"
_ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "sim",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "word " * 64}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 200, "completion_tokens": 64, "total_tokens": 264},
}


@contextmanager
def streaming(ports: Sequence[int], directory: Path) -> Iterator[None]:
    """Engines whose tokens are the time at which each was written. Raises NotReady."""
    command = python(_SIMULATOR, *map(str, ports), "stamp=1")
    with child("engines", command, directory) as process:
        wait_for_http(f"http://127.0.0.1:{ports[-1]}/health", process, directory / "engines.log")
        yield


@contextmanager
def answering(ports: Sequence[int], directory: Path) -> Iterator[None]:
    """A chat's whole answer from HAProxy by itself: more a second than any gateway here can bring. Raises NotReady."""
    body = directory / "answer.json"
    body.write_text(json.dumps(_ANSWER))
    binds = "".join(f"    bind 127.0.0.1:{port}\n" for port in ports)
    answer = f"    http-request return status 200 content-type application/json file {body}\n"
    file = directory / "answers.cfg"
    file.write_text(f"{HAPROXY_DEFAULTS}frontend answer\n{binds}{answer}")
    with child("answers", ["haproxy", "-db", "-f", file], directory) as process:
        wait_for_http(f"http://127.0.0.1:{ports[0]}/", process, directory / "answers.log")
        yield
