from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from marchproxy.cli.managed.client import Api, NotAccepted, Unreachable

URL = "http://127.0.0.1:8000"
PROBLEM = {"type": "urn:marchproxy:problem:not-found", "title": "Not Found", "status": 404, "detail": "none"}


@pytest.fixture
async def api() -> AsyncIterator[Callable[..., Api]]:
    made: list[httpx.AsyncClient] = []

    def make(answer: httpx.Response | Exception) -> Api:
        def respond(request: httpx.Request) -> httpx.Response:
            if isinstance(answer, Exception):
                raise answer
            return answer

        made.append(httpx.AsyncClient(base_url=URL, transport=httpx.MockTransport(respond)))
        return Api(made[-1])

    yield make
    for client in made:
        await client.aclose()


async def test_answers(api) -> None:
    assert (await api(httpx.Response(200, json={"a": 1})).get("/x")).json() == {"a": 1}
    assert (await api(httpx.Response(304)).get("/x")).status_code == 304
    yaml = httpx.Response(200, text="a: 1", headers={"content-type": "application/yaml"})
    assert (await api(yaml).get("/x")).text == "a: 1"


async def test_a_refusal_is_the_managers_own_words(api) -> None:
    with pytest.raises(NotAccepted, match="none") as caught:
        await api(httpx.Response(404, json=PROBLEM)).get("/x")
    assert (caught.value.status, caught.value.problem) == (404, PROBLEM)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(200, text="<html>"), "HTTP 200.*is no manager"),
        (httpx.Response(502, text="Bad Gateway"), "HTTP 502.*is no manager"),
        (httpx.Response(404, json={"detail": "none"}), "HTTP 404.*is no manager"),
        (httpx.Response(404, json=[1]), "HTTP 404.*is no manager"),
        (httpx.ConnectError("refused"), f"nobody answers at {URL}: refused"),
        (httpx.ConnectTimeout(""), "nobody answers at .*: ConnectTimeout"),
        (httpx.ConnectError("CERTIFICATE_VERIFY_FAILED"), "--ca FILE"),
        (httpx.ReadTimeout("slow"), r"did not answer \(slow\)$"),
    ],
)
async def test_whoever_is_no_manager_is_not_reached(
    api, answer: httpx.Response | Exception, words: str
) -> None:
    with pytest.raises(Unreachable, match=words):
        await api(answer).get("/x")


async def test_of_a_change_without_an_answer_nothing_is_known(api) -> None:
    with pytest.raises(Unreachable, match="whether it was done is not known"):
        await api(httpx.RemoteProtocolError("cut")).send("POST", "/apply")


async def test_a_password_goes_to_managers_alone(api) -> None:
    await api(httpx.Response(401, json=PROBLEM)).recognise()
    for other in (httpx.Response(200, json={}), httpx.Response(401, text="who?")):
        with pytest.raises(Unreachable, match="is no manager"):
            await api(other).recognise()
