"""The whole state as one document over the wire."""

import pytest

from marchproxy.contract.document import checksum, decode
from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.route import RouteId
from tests.unit.modules.base.api.rig import Rig
from tests.unit.modules.doubles import CHECKSUM, DOCUMENT, STATE

SOUND = b"routes: [{id: only, backends: [p]}]\npools: [{name: p, endpoints: ['127.0.0.1:81']}]"
FAULTY = b"routes: [{id: a b, path: {regex: '('}, backends: [nowhere]}]"


def update(data: bytes, *, validate_only: bool = False, **fields: str) -> pb.UpdateConfigRequest:
    config = types_pb2.ConfigUpdate(config_data=data, **fields)
    return pb.UpdateConfigRequest(config=config, validate_only=validate_only)


async def test_get_config(rig: Rig) -> None:
    answer = await rig.stub.GetConfig(pb.GetConfigRequest(config_type="state"))
    (config,) = answer.configs
    assert decode(config.config_data) == STATE
    assert (config.config_type, config.checksum) == ("state", checksum(config.config_data))
    assert (config.metadata["document_checksum"], config.metadata["modified"]) == (CHECKSUM, "false")


async def test_what_it_gives_it_takes(rig: Rig) -> None:
    (config,) = (await rig.stub.GetConfig(pb.GetConfigRequest())).configs
    assert (await rig.stub.UpdateConfig(pb.UpdateConfigRequest(config=config))).success


async def test_update_replaces_everything(rig: Rig) -> None:
    answer = await rig.stub.UpdateConfig(update(SOUND, checksum=checksum(SOUND)))
    assert (answer.success, answer.validation_passed, answer.message) == (True, True, "the document runs")
    assert (rig.core.desired, rig.engine.applied[-1]) == (decode(SOUND), decode(SOUND))
    assert (rig.core.running.checksum, rig.core.running.modified) == (checksum(SOUND), False)


async def test_validate_only_changes_nothing(rig: Rig) -> None:
    with rig.untouched():
        answer = await rig.stub.UpdateConfig(update(SOUND, validate_only=True))
    assert (answer.success, answer.validation_passed, answer.message) == (True, True, "the document is sound")


@pytest.mark.parametrize("validate_only", [False, True])
async def test_what_is_hardly_meant_is_told_and_refuses_nothing(rig: Rig, validate_only: bool) -> None:
    rig.engine.doubts = (Problem("routes[0].ai.models[0].name", "costs nothing"),)
    answer = await rig.stub.UpdateConfig(update(SOUND, validate_only=validate_only))
    assert (answer.success, answer.validation_passed, list(answer.validation_errors)) == (True, True, [])
    assert answer.message.endswith("; routes[0].ai.models[0].name: costs nothing")


@pytest.mark.parametrize("validate_only", [False, True])
async def test_every_fault_is_told(rig: Rig, validate_only: bool) -> None:
    with rig.untouched():
        answer = await rig.stub.UpdateConfig(update(FAULTY, validate_only=validate_only))
    assert (answer.success, answer.validation_passed) == (False, False)
    assert answer.error.code == types_pb2.STATUS_CODE_INVALID_ARGUMENT
    paths = [text.partition(":")[0] for text in answer.validation_errors]
    assert paths == ["routes[0].id", "routes[0].path", "routes[0].backends[0].pool"]


@pytest.mark.parametrize("validate_only", [False, True])
async def test_what_this_module_cannot_do_is_told(rig: Rig, validate_only: bool) -> None:
    document = b"routes: [{id: a}]\npools: [{name: p, protocol: udp}]"
    with rig.untouched():
        answer = await rig.stub.UpdateConfig(update(document, validate_only=validate_only))
    paths = [text.partition(":")[0] for text in answer.validation_errors]
    assert paths == ["routes[0].backends", "pools[0].protocol"]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (update(b"\xff\xfe"), "is not UTF-8 text"),
        (update(b"routes: ["), "line "),
        (update(b"rutes: []"), 'did you mean "routes"?'),
        (update(b"[]"), ""),
        (update(SOUND, config_type="nginx"), 'config.config_type: unknown type "nginx"'),
        (update(SOUND, checksum="0" * 64), "config.checksum: does not fit config_data"),
        (update(SOUND[:-3], checksum=checksum(SOUND)), "config.checksum: does not fit config_data"),
    ],
)
async def test_refused(rig: Rig, request_: pb.UpdateConfigRequest, words: str) -> None:
    with rig.untouched():
        answer = await rig.stub.UpdateConfig(request_)
    assert (answer.success, answer.error.code) == (False, types_pb2.STATUS_CODE_INVALID_ARGUMENT)
    assert words in "\n".join(answer.validation_errors)
    assert answer.message


async def test_what_the_engine_refuses_is_told_with_its_place(rig: Rig) -> None:
    problem = Problem("routes[0].path", "Envoy refused it: no argument for repetition operator")
    rig.engine.refusal = Refused(RefusalCode.INVALID_ARGUMENT, str(problem), [problem])
    with rig.untouched():
        answer = await rig.stub.UpdateConfig(update(SOUND))
    assert list(answer.validation_errors) == [str(problem)]


async def test_what_a_rehearsal_finds_is_told_and_changes_nothing(rig: Rig) -> None:
    rig.engine.objections = (Problem("routes[0].path", "Envoy refused it"), Problem("pools[0]", "no"))
    with rig.untouched():
        answer = await rig.stub.UpdateConfig(update(SOUND, validate_only=True))
    assert (answer.success, answer.validation_passed) == (False, False)
    assert list(answer.validation_errors) == ["routes[0].path: Envoy refused it", "pools[0]: no"]


async def test_a_document_that_runs_in_part_is_a_success_that_says_so(rig: Rig) -> None:
    rig.engine.isolated = (Problem("routes[0].path", "Envoy refused it"),)
    answer = await rig.stub.UpdateConfig(update(SOUND))
    assert (answer.success, answer.validation_passed) == (True, False)
    assert answer.message == "the document runs without 1 of its parts; routes[0].path: Envoy refused it"
    assert list(answer.validation_errors) == ["routes[0].path: Envoy refused it"]
    assert rig.core.desired == decode(SOUND)


@pytest.mark.parametrize(
    ("restated", "share", "going_on"),
    [
        (None, 0, False),  # as ever: a document replaces everything
        ([], 30, True),
        (["api"], 30, True),
        (["shop"], 0, False),
    ],
)
async def test_a_promotion_outlives_a_document_about_something_else(
    rig: Rig, restated: list[str] | None, share: int, going_on: bool
) -> None:
    promote = pb.PromoteVersionRequest(version="v2", promotion_rate=30, route_id="shop")
    assert (await rig.stub.PromoteVersion(promote)).success
    data = DOCUMENT.replace(b"methods: [GET]", b"methods: [PUT]")
    request = update(data)
    request.keep_shifts = restated is not None
    request.restated.extend(restated or ())
    assert (await rig.stub.UpdateConfig(request)).success
    running = rig.core.running
    assert running.desired.routes_by_id()[RouteId("shop")].backends[1].weight == share
    assert running.desired.routes_by_id()[RouteId("api")].match.methods == ("PUT",)
    assert ("shop" in running.ramps, "shop" in running.shifts) == (going_on, going_on)
    assert (running.checksum, running.modified) == (checksum(data), going_on)
