"""What is running, where nobody is managed: empty, and never a failure."""


async def test_lists_are_empty(api):
    for path in ("/modules", "/instances", "/rollouts", "/scaling-decisions", "/events", "/certificates"):
        answer = await api.get(path)
        assert (answer.status_code, answer.json()["items"], answer.json()["next"]) == (200, [], ""), path


async def test_the_view_has_a_tag(api):
    shown = await api.get("/live")
    assert shown.json()["parts"] == []
    assert (await api.get("/live", headers={"if-none-match": shown.headers["etag"]})).status_code == 304


async def test_what_is_not_there_cannot_be_operated(api, problem):
    problem(await api.get("/instances/alb-9"), 404)
    problem(await api.post("/instances/alb-9/drain"), 404)
    problem(await api.post("/rollouts", json={"target": "nothing", "version": "v2"}), 404)
    problem(await api.post("/modules/alb/scale", json={"count": -1}), 422)
    problem(await api.post("/modules/nothing/scale", json={"count": 1}), 422)
    problem(await api.put("/rollouts/weights", json={"target": "shop", "version": "v1", "percent": 101}), 422)


async def test_weights_are_set_as_a_revision(api):
    body = {"target": "shop", "version": "v2", "percent": 40}
    answer = await api.put("/rollouts/weights", json=body)
    assert (answer.status_code, answer.headers["marchproxy-revision"]) == (200, "2"), answer.text
    weights = {
        one["pool"]: one.get("weight", 100) for one in (await api.get("/routes/shop")).json()["backends"]
    }
    assert weights == {"shop-v1": 60, "shop-v2": 40}


async def test_ranges_of_figures_are_bounded(api, problem):
    assert (await api.get("/metrics/names")).json() == {"names": []}
    assert (await api.get("/metrics", params={"name": "total/requests"})).json()["values"] == {}
    for query in (
        {},
        {"name": "a", "start": 100, "end": 100},
        {"name": "a", "start": 0, "end": 4e9, "step": 1},
        {"name": "a", "step": "nan"},
        {"name": "a", "end": "inf"},
    ):
        problem(await api.get("/metrics", params=query), 422)


async def test_questions(api, problem):
    for body, status in (
        ({"url": "http://shop.example/"}, 503),  # nobody to ask
        ({"url": "shop.example"}, 422),
        ({"url": "http://x:70000/"}, 422),
        ({"url": "http://x/", "headers": ["nothing"]}, 422),
        ({"url": "http://x/", "method": "GE T"}, 422),
    ):
        problem(await api.post("/explain", json=body), status)


async def test_health_is_told_in_few_words_to_strangers(api, stranger):
    full = (await api.get("/health")).json()
    assert [(part["name"], part["status"]) for part in full["parts"]] == [("database", "healthy")]
    for path in ("/healthz", "/readyz"):
        brief = await stranger.get(path)
        assert brief.status_code == 200
        assert brief.json()["parts"] == [
            {"name": "database", "kind": "database", "status": "healthy", "parts": []}
        ]
