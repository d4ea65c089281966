"""The OpenAPI document, and its examples."""

import pytest

from marchproxy.contract.document.codec import decode_plain
from marchproxy.manager.api.kinds import KINDS
from marchproxy.model.changes import SECTIONS


@pytest.fixture
def document(app):
    return app.openapi()


def operations(document):
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_section_is_a_resource():
    assert {kind.section for kind in KINDS} == set(SECTIONS)


def test_the_examples_are_a_sound_document():
    state = decode_plain({kind.section: [kind.example] for kind in KINDS} | {"pools": pools()})
    assert all(getattr(state, section) for section in SECTIONS)


def pools():
    (kind,) = (kind for kind in KINDS if kind.section == "pools")
    return [kind.example, {**kind.example, "name": "shop-v2", "version": "v2"}]


def test_every_operation_has_a_name_a_summary_and_its_faults(document):
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for path, method, operation in operations(document):
        assert operation["summary"], path
        wanted = {"401", "403", "404", "422", "429", "503"}
        wanted |= {"304"} if method == "get" else {"409", "412", "413", "415"}
        assert wanted <= operation["responses"].keys(), (path, method)


def test_what_is_referred_to_is_there(document):
    def references(value):
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            value = value.values()
        if not isinstance(value, str):
            for one in value if hasattr(value, "__iter__") else ():
                yield from references(one)

    for reference in references(document):
        found = document
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]


def test_bodies_have_examples_in_json_and_yaml(document):
    body = document["paths"]["/api/v1/routes"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "application/yaml"}
    assert body["application/json"]["examples"]["example"]["value"]["id"] == "shop"
    assert document["openapi"].startswith("3.1")


def test_defaults_can_be_written_as_they_stand(document):
    assert document["components"]["schemas"]["RouteDocument"]["properties"]["path"]["default"] == {
        "prefix": "/"
    }
