"""The decider as a process of its own: asked, told of ends, killed and started again."""

import asyncio
import hashlib
import json
import signal
from contextlib import asynccontextmanager

import grpc
import pytest
from envoy.data.accesslog.v3 import accesslog_pb2
from envoy.service.accesslog.v3 import als_pb2, als_pb2_grpc
from google.protobuf import json_format

from marchproxy.engines.workers.process import Recipe, WorkerProcess
from marchproxy.engines.workers.words import Count, Done, Refused
from marchproxy.kit.clock import SystemClock
from marchproxy.model.module import PoolName
from marchproxy.model.pool import Endpoint
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb import talk
from marchproxy.modules.ailb.settling.report import Ending, Report
from tests.real.support.process import kill_left
from tests.real.support.waiting import until

KEY = "sk-test"
DOCUMENT = f"""
routes:
  - id: llm
    path: /
    ai: {{models: [{{name: fast, targets: [vllm]}}]}}
pools:
  - {{name: vllm, endpoints: ["127.0.0.1:1"], ai: {{provider: vllm}}}}
virtual_keys: [{{id: ci, hash: "{hashlib.sha256(KEY.encode()).hexdigest()}", team: search}}]
allowances: [{{id: team, target: "team:*", concurrent: 5}}]
"""
CHAT = {"model": "fast", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "stream": True}


class Unavailable(Exception):
    pass


class Rig:
    def __init__(self, folder):
        self.folder = folder
        recipe = Recipe(
            "decider",
            "marchproxy.modules.ailb.worker",
            "code",
            Unavailable,
            ("--run-dir", str(folder)),
        )
        self.process = WorkerProcess(folder, 0, recipe, talk.LINE, clock=SystemClock())

    async def apply(self, document=DOCUMENT):
        places = {PoolName("vllm"): (Endpoint("127.0.0.1:1"),)}
        return await self.process.ask(talk.Apply(document, places))

    async def counts(self):
        return await self.process.ask(Count())

    async def ask(
        self, body=None, path="/v1/chat/completions", *, key=KEY, method="POST", socket="decide.sock"
    ):
        reader, writer = await asyncio.open_unix_connection(str(self.folder / socket))
        data = json.dumps(body).encode() if body else b""
        writer.write(
            f"{method} {path} HTTP/1.1\r\nx-ai-route: llm\r\nauthorization: Bearer {key}\r\n"
            f"content-length: {len(data)}\r\n\r\n".encode()
        )
        writer.write(data)
        async with asyncio.timeout(10):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            fields = dict(line.split(": ", 1) for line in lines)
            answer = await reader.readexactly(int(fields["content-length"]))
        writer.close()
        return int(status.split(" ")[1]), fields, answer

    async def report(self, *reports, raw=b""):
        reader, writer = await asyncio.open_unix_connection(str(self.folder / "ended.sock"))
        writer.write(raw + b"".join(report.encode() for report in reports))
        writer.write_eof()
        async with asyncio.timeout(10):
            await reader.read()  # to the end: it was heard
        writer.close()

    async def envoy_reports(self, fields, usage):
        entry = json_format.ParseDict(
            {
                "common_properties": {
                    "upstream_cluster": "pool.vllm",
                    "metadata": {
                        "filter_metadata": {
                            "envoy.filters.http.ext_authz": fields,
                            "ailb.usage": usage,
                        }
                    },
                },
                "response": {"response_code": 200, "response_code_details": "via_upstream"},
            },
            accesslog_pb2.HTTPAccessLogEntry(),
        )
        entries = als_pb2.StreamAccessLogsMessage.HTTPAccessLogEntries(log_entry=[entry])
        async with grpc.aio.insecure_channel(f"unix:{self.folder / 'reports.sock'}") as channel:
            stub = als_pb2_grpc.AccessLogServiceStub(channel)

            async def said():
                yield als_pb2.StreamAccessLogsMessage(http_logs=entries)

            await stub.StreamAccessLogs(said())


@asynccontextmanager
async def running(folder):
    rig = Rig(folder)
    try:
        await rig.process.start()
        yield rig
        await rig.process.end(8)
    finally:
        rig.process.kill()
        kill_left(folder)


@pytest.fixture
def folder(tmp_path):
    return tmp_path


async def test_a_request_is_let_pass_and_settled_by_whoever_reports_it(folder):
    async with running(folder) as rig:
        refused = await rig.apply("routes: 5")
        assert isinstance(refused, Refused)
        assert not (folder / "decide.sock").exists()
        assert await rig.apply() == Done()
        numbers = []
        for _ in range(5):
            status, fields, _ = await rig.ask(CHAT)
            assert (status, fields["x-ai-host"]) == (200, "127.0.0.1:1,127.0.0.1:1,127.0.0.1:1")
            numbers.append(int(fields["x-ai-id"]))
        status, fields, body = await rig.ask(CHAT)
        assert (status, fields["content-type"]) == (429, "application/json")
        assert json.loads(body)["error"]["code"] == "rate_limit_exceeded"
        assert (await rig.ask(CHAT, key="other"))[0] == 401
        await rig.report(
            Report(numbers[0], Ending.COMPLETE, "vllm", usage=Usage(3, 4), events=4),
            Report(numbers[1], Ending.CLIENT_GONE, "vllm", events=2, attempts=3),
            raw=b"nonsense\n",
        )
        await rig.envoy_reports({"x-ai-id": str(numbers[2])}, {"prompt_tokens": 7, "completion_tokens": 2})

        async def settled():
            return (await rig.counts()).settled == 3

        await until(settled)
        counts = await rig.counts()
        assert (counts.under_way, counts.granted, counts.refused, counts.garbled) == (2, 5, 1, 1)
        (tally,) = [entry for entry in counts.entries if entry.key.pool == "vllm"]
        assert tally.counters["endings"] == {"complete": 2, "client_gone": 1}
        assert tally.numbers["output_tokens"] == 4 + 2 + 2
        assert (await rig.ask(CHAT))[0] == 200


async def test_models_are_listed_by_the_decider_itself(folder):
    async with running(folder) as rig:
        await rig.apply()
        status, fields, _ = await rig.ask(path="/v1/models", method="GET")
        assert status == 200
        status, answered, body = await rig.ask(path=fields["x-ai-path"], method="GET", socket="own.sock")
        assert (status, answered["content-type"]) == (200, "application/json")
        assert [model["id"] for model in json.loads(body)["data"]] == ["fast"]
        assert (await rig.ask(path="/kept/none", method="GET", socket="own.sock"))[0] == 404


async def test_one_that_was_killed_is_started_again_and_knows_what_was_spent(folder):
    money = '{id: money, target: "key:*", budget_day: 20}'
    prices = "prices: [{model: fast, input: 1000000, output: 1000000}]"
    document = DOCUMENT.replace("concurrent: 5}", f"concurrent: 5}}, {money}") + prices
    async with running(folder) as rig:
        assert await rig.apply(document) == Done()
        (_, spent, _), (_, lost, _) = (
            await rig.ask(CHAT | {"max_tokens": 2}),
            await rig.ask(CHAT | {"max_tokens": 1}),
        )
        await rig.report(Report(int(spent["x-ai-id"]), Ending.COMPLETE, "vllm", usage=Usage(1, 1)))
        await until(
            lambda: any(b'"complete"' in file.read_bytes() for file in (folder / "usage").glob("*.jsonl"))
        )
        rig.process._handle.signal(signal.SIGKILL)
        await rig.process.ended()
        await rig.process.start()
        await rig.apply(document)
        status, _, body = await rig.ask(CHAT | {"max_tokens": 14})
        assert status == 429
        assert b"left 18," in body
        # what was under way is settled by what Envoy was told of it
        await rig.envoy_reports(
            {name: value for name, value in lost.items() if name.startswith("x-ai-")},
            {"prompt_tokens": 3, "completion_tokens": 4},
        )

        async def settled():
            return (await rig.counts()).settled == 1

        await until(settled)
        status, _, body = await rig.ask(CHAT | {"max_tokens": 14})
        assert b"left 11," in body


async def test_what_is_no_request_ends_its_connection_alone(folder):
    async with running(folder) as rig:
        await rig.apply()
        reader, writer = await asyncio.open_unix_connection(str(folder / "decide.sock"))
        writer.write(b"\x16\x03\x01 nonsense\r\n\r\n")
        async with asyncio.timeout(10):
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()
        assert (await rig.ask(CHAT))[0] == 200
