"""A changed file is handed to the manager; why it is not taken is told in its words."""

import httpx
import pytest

from marchproxy.cli.up import by_manager
from marchproxy.cli.up.by_manager import Handed, hand_over
from marchproxy.contract.document import encode
from marchproxy.manager.places import LOCAL_KEY
from marchproxy.manager.settings import ManagerSettings
from marchproxy.model.state import DesiredState


def answering(monkeypatch, answer: httpx.Response | Exception) -> list[httpx.Request]:
    asked: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(_settings: ManagerSettings) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(respond), base_url="http://manager")

    monkeypatch.setattr(by_manager, "local_client", client)
    return asked


async def handed(tmp_path) -> Handed:
    return await hand_over(ManagerSettings(state_dir=tmp_path), DesiredState(), tmp_path / "up.yaml")


async def reasons(tmp_path) -> list[str]:
    answer = await handed(tmp_path)
    assert answer.known
    assert all(refusal.who == "manager" for refusal in answer.refusals)
    return [reason for refusal in answer.refusals for reason in refusal.reasons]


async def test_it_is_asked_with_the_document_and_where_it_is_from(monkeypatch, tmp_path):
    asked = answering(monkeypatch, httpx.Response(200, json={"revision": 2, "applied": True}))
    assert await handed(tmp_path) == Handed(said="revision 2")
    assert asked[0].url.path == "/api/v1/file"
    assert asked[0].url.params["source"] == str(tmp_path / "up.yaml")
    assert asked[0].content == encode(DesiredState())


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            httpx.Response(
                422,
                json={
                    "detail": "x",
                    "problems": [
                        {"path": "routes[0].id", "message": "is there twice"},
                        {"path": "", "message": "too much"},
                    ],
                },
            ),
            ["routes[0].id: is there twice", "too much"],
        ),
        (httpx.Response(503, json={"detail": "the database is away"}), ["the database is away"]),
        (httpx.Response(502, text="garbage"), ["HTTP 502: garbage"]),
        (httpx.Response(500, json=["garbage"]), ['HTTP 500: ["garbage"]']),
        (
            httpx.ConnectError("refused"),
            ["the manager at 127.0.0.1:8000 cannot be asked: refused"],
        ),
    ],
)
async def test_why_it_is_not_taken(monkeypatch, tmp_path, answer, told):
    answering(monkeypatch, answer)
    assert await reasons(tmp_path) == told


async def test_what_says_nothing_new_is_told_so(monkeypatch, tmp_path):
    answering(monkeypatch, httpx.Response(200, json={"revision": 2, "applied": False}))
    assert "nothing new" in (await handed(tmp_path)).said


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ReadTimeout(""),
        httpx.RemoteProtocolError("closed"),
        httpx.Response(504, json={"detail": "no answer within 60 s"}),
    ],
)
async def test_no_answer_is_no_refusal(monkeypatch, tmp_path, answer):
    answering(monkeypatch, answer)
    assert not (await handed(tmp_path)).known


async def test_a_manager_that_never_ran_is_no_traceback(tmp_path):
    (told,) = await reasons(tmp_path)
    assert LOCAL_KEY in told
    assert "is the manager running" in told
