"""What proto/*.md shows is true: its JSON is the contract's, its Python compiles, its RPCs exist."""

import json
import re
from pathlib import Path

import pytest
from google.protobuf import json_format

from marchproxy.contract.convert import pool_from_pb, route_from_pb
from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2
from marchproxy.model.checks import check_pools, check_routes

PROTO = Path(__file__).parents[3] / "proto"
PAGES = {page.name: page.read_text() for page in PROTO.glob("*.md")}
SERVICES = {
    **module_pb2.DESCRIPTOR.services_by_name,
    **nlb_pb2.DESCRIPTOR.services_by_name,
}


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_python_compiles(page):
    for source in blocks(page, "python"):
        compile(source, page, "exec")


@pytest.mark.parametrize("page", PAGES)
def test_grpcurl_calls_are_the_contracts(page):
    commands = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
    calls = re.findall(r"grpcurl.*marchproxy\.(\w+)/(\w+)", commands)
    assert calls
    for service, method in calls:
        assert method in SERVICES[service].methods_by_name
    for body, service, method in re.findall(r"-d '(.*?)'.*?marchproxy\.(\w+)/(\w+)", commands):
        request = SERVICES[service].methods_by_name[method].input_type
        json_format.Parse(body, request._concrete_class())


def test_every_rpc_has_its_row():
    for name, service in SERVICES.items():
        section = PAGES["README.md"].partition(f"## {name}\n")[2].partition("\n## ")[0]
        rows = "\n".join(line for line in section.splitlines() if line.startswith("|"))
        assert set(re.findall(r"`(\w+)`", rows)) == {method.name for method in service.methods}


def test_the_messages_shown_are_sound():
    route, pool, refusal = map(json.loads, blocks("QUICKSTART.md", "json"))
    read = route_from_pb(json_format.ParseDict(route, types_pb2.Route()))
    shown = pool_from_pb(json_format.ParseDict(pool, types_pb2.BackendPool()))
    other = pool_from_pb(types_pb2.BackendPool(name="api-v1", version="v1"))
    assert [*check_routes([read], [shown, other]), *check_pools([shown])] == []
    json_format.ParseDict(refusal, module_pb2.UpdateRoutesResponse())
