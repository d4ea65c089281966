import grpc
import pytest

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.grpc import ChannelPool, invalid
from marchproxy.kit.telemetry import Service, TracingSection, annotate, span, trace_id, tracing
from tests.collector import Collector

from .conftest import EchoStub
from .test_channels import REQUEST, once

METHOD = "test.Echo/Once"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector():
    with Collector() as collector:
        yield collector


@pytest.fixture
def traced(collector):
    with tracing(TracingSection(endpoint=collector.endpoint, sample_percent=0), Service("nlb", "nlb-1")):
        yield collector


async def ask(address):
    pool = ChannelPool(clock=SystemClock())
    try:
        return await pool.call(address, EchoStub, once, timeout=10)
    finally:
        await pool.close()


async def test_one_trace_from_caller_to_answerer(traced, start):
    _, address = await start()
    with span("reload"):
        await ask(address)
    await traced.until(lambda: len(traced.spans) == 3)
    by_kind = {item.kind: item for item in traced.spans}
    root, call, answer = by_kind["internal"], by_kind["client"], by_kind["server"]
    assert (call.name, answer.name) == (METHOD, METHOD)
    assert root.trace == call.trace == answer.trace
    assert (call.parent, answer.parent) == (root.id, call.id)
    wanted = {
        "rpc.system": "grpc",
        "rpc.service": "test.Echo",
        "rpc.method": "Once",
        "rpc.grpc.status_code": 0,
    }
    assert call.tags == answer.tags == wanted


async def test_a_handler_adds_what_it_knows(traced, start, echo):
    async def behave(_):
        annotate(refusal="invalid_argument")

    echo.behave = behave
    _, address = await start()
    with span("reload"):
        await ask(address)
    await traced.until(lambda: len(traced.spans) == 3)
    (answer,) = [item for item in traced.spans if item.kind == "server"]
    assert answer.tags["refusal"] == "invalid_argument"


@pytest.mark.parametrize(
    ("error", "code", "failed"),
    [(invalid("no such thing"), 3, False), (RuntimeError("broken"), 13, True)],
)
async def test_how_a_call_ended_is_told(traced, start, echo, error, code, failed):
    async def behave(_):
        raise error

    echo.behave = behave
    _, address = await start()
    with pytest.raises(grpc.aio.AioRpcError), span("reload"):
        await ask(address)
    await traced.until(lambda: len(traced.spans) == 3)
    by_kind = {item.kind: item for item in traced.spans}
    for kind in ("client", "server"):
        assert by_kind[kind].tags["rpc.grpc.status_code"] == code
    assert by_kind["client"].failed  # it did not get what it asked for, whoever is to blame
    assert by_kind["server"].failed is failed


async def test_a_call_of_nobodys_work_begins_no_trace(traced, start, echo):
    seen = []

    async def behave(context):
        seen.append(dict(context.invocation_metadata() or ()))

    echo.behave = behave
    _, address = await start()
    await ask(address)
    with span("reload"):
        await ask(address)
    assert ["traceparent" in metadata for metadata in seen] == [False, True]
    await traced.until(lambda: traced.named("reload"))
    assert len(traced.named(METHOD)) == 2  # both of the second call


@pytest.mark.parametrize(("flags", "collected"), [("01", True), ("00", False)])
async def test_a_callers_decision_is_honoured(traced, start, echo, flags, collected):
    seen = []

    async def behave(_):
        seen.append(trace_id())

    echo.behave = behave
    _, address = await start()
    async with grpc.aio.insecure_channel(address) as channel:
        await EchoStub(channel).Once(
            REQUEST, metadata=[("traceparent", TRACEPARENT[:-2] + flags)], timeout=10
        )
    assert seen == [TRACEPARENT.split("-")[1]]
    with span("last"):
        pass
    await traced.until(lambda: traced.named("last"))
    assert bool(traced.named(METHOD)) is collected
