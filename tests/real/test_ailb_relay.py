"""A relay as a process of its own, between a client of HTTP/2 in Envoy's place and engines that are told to go wrong."""

import asyncio
import json
import random
from contextlib import asynccontextmanager

from marchproxy.engines.workers.process import Recipe, WorkerProcess
from marchproxy.engines.workers.words import Count, Done, Refused
from marchproxy.kit.clock import SystemClock
from marchproxy.modules.ailb.relay.talk import LINE
from marchproxy.modules.ailb.settling.report import LONGEST, Ending, decode
from marchproxy.modules.ailb.talk import Apply
from tests.real.support.engines import engines
from tests.real.support.prior_knowledge import connected
from tests.real.support.process import kill_left
from tests.real.support.waiting import until

DOCUMENT = """
routes:
  - id: llm
    path: /
    idle_timeout: {1}s
    ai:
      first_byte_timeout: {1}s
      models:
        - {{name: a, targets: [vllm]}}
        - {{name: b, targets: [plain]}}
        - {{name: c, targets: [claude]}}
        - {{name: d, targets: [named]}}
pools:
  - {{name: vllm, endpoints: ["{0}"], ai: {{provider: vllm}}}}
  - {{name: plain, endpoints: ["{0}"], ai: {{provider: openai_compatible}}}}
  - {{name: claude, endpoints: ["{0}"], ai: {{provider: anthropic}}}}
  - {{name: named, endpoints: ["localhost:1"], ai: {{provider: vllm}}}}
"""
PATHS = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "responses": "/responses",
    "messages": "/messages",
}


class Unavailable(Exception):
    pass


class Decider:
    """Hears how requests ended."""

    def __init__(self, folder):
        self.reports = []
        self._lines = []
        self._path = folder / "ended.sock"

    async def __aenter__(self):
        self._server = await asyncio.start_unix_server(self._hear, self._path, limit=LONGEST)
        return self

    async def __aexit__(self, *_):
        self.away()

    def away(self):
        self._server.close()
        self._path.unlink(missing_ok=True)
        for line in self._lines:
            line.close()

    async def _hear(self, reader, writer):
        self._lines.append(writer)
        writer.write(b"0\n")
        while line := await reader.readline():
            self.reports.append(decode(line))
            writer.write(b"%d\n" % self.reports[-1].number)
        writer.close()

    async def report(self, number):
        await until(lambda: any(report.number == number for report in self.reports))
        return next(report for report in self.reports if report.number == number)


class Rig:
    """`client`: a connection in Envoy's place."""

    def __init__(self, folder, engine, decider):
        self.engine = engine
        self.decider = decider
        self.address = engine.addresses[0]
        self.listen = folder / "relay-0.sock"
        options = ("--listen", str(self.listen), "--run-dir", str(folder), "--drain-seconds", "8")
        recipe = Recipe("relay", "marchproxy.modules.ailb.relay", "code", Unavailable, options)
        self.process = WorkerProcess(folder, 0, recipe, LINE, clock=SystemClock())
        self._numbers = iter(range(1, 1_000_000))

    def question(self, pool, operation, model, **body):
        """What Envoy sends: the number of the request, the path, headers and body."""
        number = next(self._numbers)
        messages = {"messages": [{"role": "user", "content": "hello"}]}
        said = {"responses": {"input": "hello"}, "completions": {"prompt": "hello"}}.get(operation, messages)
        body = {"model": model, **said, **body}
        content = json.dumps(body).encode()
        at = content.index(b'"', content.index(b'"model": ') + 8)
        headers = {
            "content-type": "application/json", "x-ai-pool": pool, "x-ai-id": str(number), "x-ai-operation": operation,
            "x-ai-path": PATHS[operation], "x-ai-stream": str(int(body.get("stream", False))), "x-ai-host": self.address,
            "x-ai-route": "llm", "x-envoy-attempt-count": "1", "x-ai-at": f"{at},{at + len(model) + 2}", "x-ai-names": "-",
            "authorization": "Bearer client",
        }  # fmt: skip
        return number, f"/llm/v1{PATHS[operation]}", headers, content

    async def ask(self, pool, operation, model, **body):
        """The whole answer, and what is reported of it."""
        number, *question = self.question(pool, operation, model, **body)
        answer = self.client.ask(*question)
        async with asyncio.timeout(20):
            await answer.ended.wait()
        return answer, await self.decider.report(number)


@asynccontextmanager
async def running(folder, *, patience=30, **behaviour):
    async with engines(folder, **behaviour) as engine, Decider(folder) as decider:
        rig = Rig(folder, engine, decider)
        try:
            await rig.process.start()
            assert isinstance(await rig.process.ask(Apply("routes: 5")), Refused)
            assert await rig.process.ask(Apply(DOCUMENT.format(rig.address, patience))) == Done()
            async with connected(rig.listen) as rig.client:
                yield rig
            await rig.process.end(10)
        finally:
            rig.process.kill()
            kill_left(folder)


def data_of(answer):
    """The data of the events, [DONE] and names left out."""
    lines = answer.body.decode().split("\n")
    found = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(line) for line in found if line != "[DONE]"]


def text_of(events):
    return "".join(
        event["choices"][0]["delta"].get("content") or "" for event in events if event.get("choices")
    )


DONE = b"data: [DONE]\n\n"
WHOLE = "".join(f" t{number}" for number in range(8))


async def streams_are_whole(rig, pool, model):
    answer, report = await rig.ask(pool, "chat", model, stream=True)
    events = data_of(answer)
    assert answer.body.endswith(DONE)
    assert text_of(events) == WHOLE
    assert not any("usage" in event for event in events)
    assert (report.ending, report.events, report.usage.output) == (Ending.COMPLETE, 8, 8)
    assert (report.pool, report.host, report.status) == (pool, rig.address, 200)


async def usage_is_told_who_asks(rig):
    answer, _ = await rig.ask("vllm", "chat", "sim", stream=True, stream_options={"include_usage": True})
    told = [event["usage"] for event in data_of(answer) if event.get("usage")]
    assert [usage["completion_tokens"] for usage in told] == [8]


async def another_may_be_tried(rig, word, statuses=(502, 503)):
    """Nothing has been said yet."""
    answer, report = await rig.ask("vllm", "chat", f"sim+{word}", stream=True)
    assert answer.status in statuses
    assert json.loads(answer.body)["error"]["message"]
    assert (report.ending, report.events) == (Ending.UNREACHED, 0)


async def an_error_ends_the_stream(rig, word):
    answer, report = await rig.ask("vllm", "chat", f"sim+{word}", stream=True)
    *events, error = data_of(answer)
    assert answer.status == 200
    assert error["error"]["message"]
    assert answer.body.endswith(DONE)
    assert text_of(events) == " t0 t1 t2"
    assert (report.ending, report.events, report.usage.output) == (Ending.BROKEN, 3, 3)


async def what_the_engine_refuses_is_passed_on(rig):
    answer, report = await rig.ask("vllm", "chat", "sim+status-429", stream=True)
    assert (answer.status, report.status, report.ending) == (429, 429, Ending.REFUSED)
    assert "429" in json.loads(answer.body)["error"]["message"]


async def the_other_dialect_is_translated(rig):
    answer, report = await rig.ask("claude", "chat", "sim", stream=True, max_tokens=8)
    assert text_of(data_of(answer)) == WHOLE
    assert (report.ending, report.events, report.usage.output) == (Ending.COMPLETE, 8, 8)
    answer, report = await rig.ask("vllm", "messages", "sim", max_tokens=4)
    said = json.loads(answer.body)
    assert said["content"][0]["text"] == " t0 t1 t2 t3"
    assert said["usage"]["output_tokens"] == report.usage.output == 4
    answer, report = await rig.ask("vllm", "messages", "sim+cut-2", max_tokens=4, stream=True)
    assert data_of(answer)[-1]["type"] == "error"
    assert (report.ending, report.events) == (Ending.BROKEN, 2)
    answer, _ = await rig.ask("claude", "chat", "sim", n=2)
    assert answer.status == 400


async def what_cannot_be_asked_is_an_error(rig):
    answer, _ = await rig.ask("named", "chat", "sim")
    assert answer.status == 503  # there is no egress
    for changed in ({"x-ai-pool": "unknown"}, {"x-ai-id": "x"}):
        _, path, headers, body = rig.question("vllm", "chat", "sim")
        answer = rig.client.ask(path, headers | changed, body)
        await answer.ended.wait()
        assert answer.status == 503


async def a_model_has_its_name_there(rig):
    number, path, headers, body = rig.question("vllm", "chat", "sim", user="renamed")
    headers["x-ai-names"] = "plain=%22other%22&vllm=%22renamed%22"
    rig.client.ask(path, headers, body)
    await rig.decider.report(number)
    assert [record["model"] for record in await rig.engine.requests("renamed")] == ["renamed"]


async def test_streams_end_as_they_should(tmp_path):
    async with running(tmp_path, patience=2, token_ms=1, default_tokens=8) as rig:
        async with asyncio.TaskGroup() as group:
            for pool, model in (("vllm", "sim"), ("plain", "sim"), ("plain", "sim+ragged")):
                group.create_task(streams_are_whole(rig, pool, model))
            for word in ("reset", "eof", "reset-0", "eof-0"):
                group.create_task(another_may_be_tried(rig, word))
            for word in ("late-5", "stall"):
                group.create_task(another_may_be_tried(rig, word, (504,)))
            for word in ("reset-3", "eof-3", "cut-3", "stall-3"):
                group.create_task(an_error_ends_the_stream(rig, word))
            for check in (
                usage_is_told_who_asks,
                what_the_engine_refuses_is_passed_on,
                the_other_dialect_is_translated,
                what_cannot_be_asked_is_an_error,
                a_model_has_its_name_there,
            ):
                group.create_task(check(rig))
        assert {record["credential"] for record in await rig.engine.requests()} == {""}
        await the_engine_stops_when_the_client_does(rig)
        await an_engine_waits_for_a_client_that_does_not_read(rig)


async def the_engine_stops_when_the_client_does(rig):
    await rig.engine.tell(token_ms=5, default_tokens=4000)
    number, *question = rig.question("plain", "chat", "sim", stream=True, user="gone")
    answer = rig.client.ask(*question)
    await until(lambda: b" t9" in answer.body)
    rig.client.give_up(answer)
    report = await rig.decider.report(number)

    async def ended():
        (record,) = await rig.engine.requests("gone")
        return record["ended"] == "gone" and 10 <= report.events <= record["emitted"] < 4000

    await until(ended)
    assert report.ending is Ending.CLIENT_GONE


async def an_engine_waits_for_a_client_that_does_not_read(rig):
    await rig.engine.tell(token_ms=0, default_tokens=20_000)
    number, *question = rig.question("plain", "completions", "sim", stream=True)
    async with connected(rig.listen, window=65_535) as slow:
        answer = slow.ask(*question)
        await until(lambda: len(answer.body) == 65_535)
        await rig.ask("plain", "chat", "sim", stream=True, max_tokens=3)
        assert not answer.ended.is_set()
        assert not any(report.number == number for report in rig.decider.reports)
        slow.widen(answer, 1 << 24)
        await until(answer.ended.is_set)
    report = await rig.decider.report(number)
    assert answer.body.endswith(DONE)
    assert (report.ending, report.events) == (Ending.COMPLETE, 20_000)


def billed(report):
    if not report.is_final:
        return 0
    return report.usage.output if report.usage else report.events


async def test_what_is_counted_is_what_was_emitted(tmp_path):
    async with running(tmp_path) as rig:
        dice, turns, asked = random.Random(6), asyncio.Semaphore(200), {}
        words = ["", "", "", "+ragged", "+cut-3", "+reset-2", "+eof-4", "+status-500", "+reset"]

        async def one(at):
            operation, stream = dice.choice(list(PATHS)), at % 4 > 0
            model = "sim" + (dice.choice(words) if stream else "")
            pool = "claude" if operation == "messages" else dice.choice(["vllm", "plain"])
            tag = {"metadata": {"user_id": str(at)}} if operation == "messages" else {"user": str(at)}
            most = "max_output_tokens" if operation == "responses" else "max_tokens"
            number, *question = rig.question(
                pool, operation, model, stream=stream, **tag, **{most: dice.randint(4, 9)}
            )
            asked[number] = str(at)
            async with turns:
                await rig.client.ask(*question).ended.wait()

        async with asyncio.timeout(40), asyncio.TaskGroup() as group:
            for at in range(1000):
                group.create_task(one(at))
        await until(lambda: len(rig.decider.reports) == 1000)
        emitted = {record["tag"]: record["emitted"] for record in await rig.engine.requests()}
        assert {asked[report.number]: billed(report) for report in rig.decider.reports} == emitted

        async def known():
            counts = await rig.process.ask(Count())
            return (sum(counts.endings.values()), counts.under_way, counts.untold) == (1000, 0, 0)

        await until(known)


async def test_streams_outlive_the_decider_and_an_order_to_end(tmp_path):
    async with running(tmp_path, token_ms=20, default_tokens=30) as rig:
        rig.decider.away()
        number, *question = rig.question("plain", "chat", "sim", stream=True)
        answer = rig.client.ask(*question)
        await until(lambda: answer.body)
        async with asyncio.TaskGroup() as group:
            group.create_task(rig.process.end(10))
            await until(answer.ended.is_set)
            assert rig.client.left
            assert answer.body.endswith(DONE)
            async with Decider(tmp_path) as another:
                report = await another.report(number)
        assert (report.ending, report.events) == (Ending.COMPLETE, 30)
