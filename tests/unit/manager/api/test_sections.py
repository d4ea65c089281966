"""Items of the desired state as resources: lists, conditions, and what a change answers."""

JSON = {"content-type": "application/json"}


async def test_a_list_is_paged_filtered_and_sorted(api):
    first = (await api.get("/routes", params={"limit": 1})).json()
    assert [item["id"] for item in first["items"]] == ["shop"]
    assert (first["total"], first["revision"]) == (2, 1)
    rest = (await api.get("/routes", params={"limit": 1, "cursor": first["next"]})).json()
    assert ([item["id"] for item in rest["items"]], rest["next"]) == (["help"], "")

    for query, ids in (
        ({"sort": "id"}, ["help", "shop"]),
        ({"sort": "-priority"}, ["help", "shop"]),
        ({"filter": "priority:eq:0"}, ["shop"]),  # a default, which the document does not say
        ({"filter": ["id:contains:h", "listeners:contains:web"]}, ["shop"]),
        ({"filter": "protocol:ne:http"}, []),
    ):
        items = (await api.get("/routes", params=query)).json()["items"]
        assert [item["id"] for item in items] == ids, query


async def test_a_list_says_its_revision_also_when_another_section_has_changed(api):
    before = await api.get("/routes")
    await api.put("/prices/x", json={"input": 1})
    after = await api.get("/routes", headers={"if-none-match": before.headers["etag"]})
    assert (after.status_code, after.json()["revision"], after.headers["etag"]) == (200, 2, '"r2"')
    assert after.json()["items"] == before.json()["items"]


async def test_secrets_are_neither_shown_nor_searched(api):
    item = (await api.get("/routes/help")).json()
    assert item["request_headers"]["set"]["authorization"] == "***"
    assert "tiptop" not in (await api.get("/routes")).text
    assert (await api.get("/routes", params={"filter": "request_headers:contains:tiptop"})).status_code == 422


async def test_what_was_shown_hidden_stays_when_it_comes_back(api, desk):
    shown = await api.get("/routes/help")
    item = shown.json() | {"priority": 6}
    answer = await api.put("/routes/help", json=item, headers={"if-match": shown.headers["etag"]})
    assert answer.status_code == 200, answer.text
    assert "tiptop" not in answer.text
    kept = next(one for one in desk.revisions.current.document["routes"] if one["id"] == "help")
    assert (kept["request_headers"]["set"]["authorization"], kept["priority"]) == ("Bearer tiptop", 6)


async def test_who_has_it_already_is_not_sent_it_again(api):
    for path in ("/routes", "/routes/shop", "/state"):
        tag = (await api.get(path)).headers["etag"]
        again = await api.get(path, headers={"if-none-match": f'"other", {tag}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    await api.put("/pools/shop-v2", json={"endpoints": ["127.0.0.1:9003"], "version": "v2"})
    tag = (await api.get("/routes/shop")).headers["etag"]  # nothing of the route has changed
    assert (await api.get("/routes/shop", headers={"if-none-match": tag})).status_code == 304


async def test_an_item_is_made_replaced_and_removed(api, problem):
    item = {"id": "cart", "path": "/cart", "backends": ["shop-v1"]}
    made = await api.post("/routes", json=item, params={"reason": "carts"})
    assert made.status_code == 201, made.text
    assert made.headers["location"] == "/api/v1/routes/cart"
    assert made.headers["marchproxy-revision"] == "2"
    assert made.json()["revision"]["reason"] == "carts"
    problem(await api.post("/routes", json=item), 409)

    shown = await api.get("/routes/cart")
    assert shown.headers["etag"] == made.headers["etag"]
    item["timeout"] = "7s"
    put = await api.put("/routes/cart", json=item, headers={"if-match": shown.headers["etag"]})
    assert put.json()["changes"][0]["fields"] == ["timeout"]
    problem(await api.put("/routes/cart", json=item, headers={"if-match": shown.headers["etag"]}), 412)
    problem(await api.put("/routes/cart", json=item, headers={"if-none-match": "*"}), 412)

    assert (await api.delete("/routes/cart", headers={"if-match": put.headers["etag"]})).status_code == 200
    problem(await api.get("/routes/cart"), 404)
    problem(await api.delete("/routes/cart"), 404)


async def test_yaml_is_taken_as_well(api):
    answer = await api.put(
        "/routes/cart",
        content=b"path: /cart\nbackends: [shop-v1]\ntimeout: 250ms\n",
        headers={"content-type": "application/yaml", "marchproxy-reason": "by hand"},
    )
    assert answer.json()["revision"]["reason"] == "by hand"
    assert (await api.get("/routes/cart")).json()["timeout"] == 0.25


async def test_a_dry_run_changes_nothing_and_is_not_on_record(api):
    answer = await api.put("/routes/shop", json={"backends": ["shop-v2"]}, params={"dry_run": True})
    assert (answer.status_code, answer.json()["applied"]) == (200, False)
    assert (await api.get("/revisions")).json()["items"][0]["number"] == 1
    assert (await api.get("/audit")).json()["items"] == []


async def test_keys_with_slashes(api):
    assert (await api.get("/prices/meta%2Fllama-3")).json()["input"] == 1
    made = await api.post("/prices", json={"model": "acme/large:free", "input": 2})
    assert (await api.get(made.headers["location"].removeprefix("/api/v1"))).json()["input"] == 2


async def test_what_cannot_be_done_is_told_with_its_place(api, problem):
    for method, path, body, place in (
        ("PUT", "/routes/shop", b'{"backends": ["nope"]}', "backends[0].pool"),
        ("PUT", "/routes/shop", b'{"backnds": []}', "backnds"),
        ("PUT", "/routes/shop", b'{"id": "other"}', "id"),
        ("POST", "/routes", b'{"path": "/"}', "id"),
        ("POST", "/routes", b'{"id": 5}', "id"),
        ("POST", "/routes", b"[]", ""),
        ("POST", "/routes", b"{", ""),
        ("POST", "/routes", b"\xff", ""),
        ("POST", "/routes", rb'{"id": "\ud800"}', ""),
        ("GET", "/routes?limit=0", b"", "limit"),
        ("GET", "/routes?cursor=x", b"", "cursor"),
        ("GET", "/routes?filter=id", b"", "filter[0]"),
        ("GET", "/routes?filter=id:is:x", b"", "query.filters[0].operator"),
        ("GET", "/routes?sort=nothing", b"", "query.sort_by"),
    ):
        answer = await api.request(method, path, content=body, headers=JSON if body else {})
        assert problem(answer, 422)["problems"][0]["path"] == place, (path, body)


async def test_other_media_types_are_refused(api, problem):
    problem(await api.post("/routes", content=b"{}", headers={"content-type": "text/plain"}), 415)
    problem(await api.post("/routes", content=b"{}"), 415)


async def test_paths_and_methods_that_are_not_there(api, problem):
    assert problem(await api.get("/nothing"), 404)["detail"].startswith("there is no /api/v1/nothing")
    answer = await api.request("BREW", "/routes/shop")
    problem(answer, 405)
    assert answer.headers["allow"] == "GET, PUT, DELETE"
