"""Explain: where a request or a connection would go, and why."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict
from starlette.responses import Response

from marchproxy.contract.fleet.explaining import (
    NotAQuestion,
    as_json_data,
    conclusion,
    read_question,
    steps,
    without_secrets,
)
from marchproxy.kit.settings import Section
from marchproxy.manager.api.answering import answer
from marchproxy.manager.api.asking import AtDesk, ReadsLive
from marchproxy.model.problem import InvalidValue, Problem

router = APIRouter(prefix="/api/v1", tags=["explain"])
_EXAMPLE: JsonDict = {
    "url": "https://shop.example.com/cart?id=7",
    "method": "GET",
    "headers": ["user-agent: test"],
}


class QuestionBody(Section):
    """A request that is not sent: `http://host:port/path`, `postgres://user@host:port/name`, `tcp://host:port`, …

    `headers` are lines such as `name: value`; a Host header names the host that is asked for.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})
    url: Annotated[str, Field(min_length=1, max_length=8192)]
    method: Annotated[str, Field(pattern=r"^[A-Za-z]{1,32}$")] = "GET"
    headers: Annotated[tuple[Annotated[str, Field(max_length=8192)], ...], Field(max_length=100)] = ()
    sni: Annotated[str, Field(max_length=253)] = ""
    client: Annotated[str, Field(max_length=64)] = ""


class StepView(BaseModel):
    """A step of the decision, and those within it."""

    words: str
    inner: list["StepView"]


class ExplanationView(BaseModel):
    """Where it goes. `data` has the answers of the NLB and of the module, under the names of the contract."""

    served: bool
    conclusion: str
    steps: list[StepView]
    data: dict[str, Any]


@router.post("/explain", response_model=ExplanationView, summary="Where would this request go?")
async def explain(_: ReadsLive, desk: AtDesk, body: QuestionBody) -> Response:
    """Asked of the NLB and of the module that it chooses; nothing is sent and nothing counted."""
    try:
        question = read_question(body.url, body.method, body.headers, sni=body.sni, client=body.client)
    except NotAQuestion as error:
        raise InvalidValue([Problem("url", str(error))]) from error
    found = without_secrets(await desk.operations.explain(question))
    return answer(
        {
            "served": found.served,
            "conclusion": conclusion(found),
            "steps": steps(found),
            "data": as_json_data(found),
        }
    )
