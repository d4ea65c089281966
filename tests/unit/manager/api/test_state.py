"""The desired state as a whole, and its revisions."""

import yaml

YAML = {"content-type": "application/yaml"}


async def exported(api) -> str:
    answer = await api.get("/state", headers={"accept": "application/yaml"})
    assert answer.headers["content-type"] == "application/yaml"
    return answer.text


async def test_what_is_exported_can_be_applied_again(api):
    text = await exported(api)
    assert text.startswith("# revision: 1\n")
    assert "tiptop" not in text
    same = await api.post("/apply", content=text.encode(), headers=YAML)
    assert (same.status_code, same.json()["applied"], same.json()["changes"]) == (200, False, [])
    assert yaml.safe_load(text) == (await api.get("/state")).json()


async def test_edits_of_one_base_are_merged_or_refused(api, problem):
    document = yaml.safe_load(await exported(api))
    await api.put("/routes/shop", json={"path": "/shop", "backends": ["shop-v2"], "listeners": ["web"]})
    document["routes"][1]["priority"] = 9
    merged = await api.post("/apply", json=document, params={"base": 1})
    assert (merged.json()["merged"], merged.json()["revision"]["number"]) == (True, 3)
    assert (await api.get("/routes/shop")).json()["backends"] == [{"pool": "shop-v2"}]

    document["routes"][0]["backends"] = ["shop-v1"]
    body = problem(await api.post("/apply", json=document, params={"base": 1}), 409)
    assert [conflict["path"] for conflict in body["conflicts"]] == ["routes/shop.backends"]
    assert body["revision"] == 3
    problem(await api.put("/state", json=document, headers={"if-match": '"r1"'}), 412)
    problem(await api.post("/apply", json=document, params={"base": 77}), 404)


async def test_conflicts_show_no_secrets(api, problem):
    document = (await api.get("/state")).json()
    headers = {"set": {"authorization": "Bearer sesame"}}
    await api.put("/routes/help", json={"backends": ["shop-v1"], "request_headers": headers})
    document["routes"][1]["request_headers"] = {"set": {"authorization": "Bearer abracadabra"}}
    answer = await api.post("/apply", json=document, params={"base": 1})
    assert problem(answer, 409)["conflicts"]
    for secret in ("tiptop", "sesame", "abracadabra"):
        assert secret not in answer.text


async def test_a_document_is_checked_and_compared(api):
    faulty = {"routes": [{"id": "shop", "backends": ["nope"]}, {"id": "shop"}], "poolz": []}
    verdict = (await api.post("/validate", json=faulty)).json()
    assert verdict["valid"] is False
    assert [one["path"] for one in verdict["problems"]] == ["poolz"]
    assert (await api.post("/validate", json={})).json() == {"valid": True, "problems": []}

    document = (await api.get("/state")).json()
    document["pools"][0]["endpoints"] = ["127.0.0.1:9009"]
    del document["prices"]
    changes = (await api.post("/diff", json=document)).json()["changes"]
    assert [(one["section"], one["kind"], one["fields"]) for one in changes] == [
        ("pools", "changed", ["endpoints"]),
        ("prices", "removed", []),
    ]


async def test_back_to_a_revision(api, problem):
    await api.delete("/prices/meta%2Fllama-3")
    changes = (await api.get("/revisions/2/diff")).json()["changes"]
    assert [(one["kind"], one["key"]) for one in changes] == [("removed", "meta/llama-3")]
    assert (await api.get("/revisions/1/diff", params={"against": 2})).json()["changes"][0]["kind"] == "added"
    restored = await api.post("/revisions/1/restore", params={"reason": "as it was"})
    assert restored.json()["revision"]["number"] == 3
    assert (await api.get("/prices/meta%2Fllama-3")).status_code == 200
    for path in ("/revisions/9", "/revisions/9/diff", "/revisions/1/diff?against=9"):
        problem(await api.get(path), 404)
    problem(await api.post("/revisions/9/restore"), 404)
    problem(await api.get("/revisions/0"), 422)


async def test_a_revision_with_its_document(api):
    shown = await api.get("/revisions/1")
    assert shown.json()["head"]["reason"] == "from f.yaml"
    assert "tiptop" not in shown.text
    assert (
        await api.get("/revisions/1", headers={"if-none-match": shown.headers["etag"]})
    ).status_code == 304
    text = (await api.get("/revisions/1", headers={"accept": "application/yaml"})).text
    assert text.startswith("# revision: 1\n")
    assert "tiptop" not in text


async def test_revisions_are_paged(api):
    for number in range(3):
        await api.put("/prices/x", json={"input": number + 1})
    first = (await api.get("/revisions", params={"limit": 3})).json()
    assert [head["number"] for head in first["items"]] == [4, 3, 2]
    rest = (await api.get("/revisions", params={"limit": 3, "cursor": first["next"]})).json()
    assert ([head["number"] for head in rest["items"]], rest["next"]) == ([1], "")
