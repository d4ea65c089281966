"""Sessions, users and API keys over HTTP, and what is written down of all that."""

import pytest

pytestmark = pytest.mark.usefixtures("first_admin")
GOOD = "correct horse battery"


async def first_sign_in(desk, stranger) -> None:
    """The first admin, who has chosen a password."""
    given = desk.access.users.initial_password_file.read_text().strip()
    answer = await stranger.post("/api/v1/session", json={"name": "admin", "password": given})
    assert (answer.status_code, answer.json()["must_change"]) == (201, True)
    stranger.headers["x-csrf-token"] = answer.json()["csrf"]
    answer = await stranger.post("/api/v1/session/password", json={"old": given, "new": GOOD})
    assert (answer.status_code, answer.json()["must_change"]) == (200, False)
    stranger.headers["x-csrf-token"] = answer.json()["csrf"]


async def test_a_session_from_its_begin_to_its_end(desk, stranger, problem):
    problem(await stranger.get("/api/v1/session"), 401)
    wrong = await stranger.post("/api/v1/session", json={"name": "admin", "password": "wrong"})
    assert problem(wrong, 401)["detail"] == "the name or the password is not right"
    await first_sign_in(desk, stranger)
    assert (await stranger.get("/api/v1/session")).json()["role"] == "admin"
    token = stranger.headers.pop("x-csrf-token")
    problem(await stranger.put("/api/v1/prices/x", json={"input": 1}), 403)
    stranger.headers["x-csrf-token"] = token
    assert (await stranger.put("/api/v1/prices/x", json={"input": 1})).status_code == 200
    assert (await stranger.delete("/api/v1/session")).json() == {"signed_out": "admin"}
    problem(await stranger.get("/api/v1/routes"), 401)


async def test_weak_passwords_are_told_with_their_place(desk, stranger, problem):
    await first_sign_in(desk, stranger)
    answer = await stranger.post("/api/v1/session/password", json={"old": GOOD, "new": "short"})
    assert problem(answer, 422)["problems"][0]["path"] == "password"


async def test_users_are_changed_and_their_hashes_stay_here(api, problem):
    made = await api.post("/users", json={"name": "vera", "role": "viewer"})
    assert made.status_code == 201
    assert made.json()["password"]
    given = await api.post("/users", json={"name": "olga", "role": "operator", "password": GOOD})
    assert given.json()["password"] == ""
    assert (await api.patch("/users/vera", json={"role": "operator", "disabled": True})).json()["disabled"]
    users = await api.get("/users", params={"filter": "disabled:eq:true"})
    assert [user["name"] for user in users.json()["items"]] == ["vera"]
    assert "argon2" not in users.text
    assert (await api.post("/users/vera/password", json={})).json()["password"]
    assert (await api.delete("/users/vera")).json()["removed"] == "vera"
    for answer in (await api.get("/users/vera"), await api.patch("/users/vera", json={})):
        problem(answer, 404)
    problem(await api.post("/users", json={"name": "olga"}), 409)
    problem(await api.post("/users", json={"name": "no name"}), 422)
    problem(await api.delete("/users/admin"), 422)  # the last one
    problem(await api.patch("/users/olga", json={"disabled": 1}), 422)


async def test_a_key_may_what_its_scopes_say(api, stranger, problem):
    body = {"name": "ci", "role": "operator", "scopes": ["state:read"], "owner": "admin"}
    made = (await api.post("/api-keys", json=body)).json()
    program = {"authorization": f"Bearer {made['secret']}"}
    assert (await stranger.get("/api/v1/routes", headers=program)).status_code == 200
    answer = await stranger.put("/api/v1/prices/x", json={"input": 1}, headers=program)
    assert "state:write" in problem(answer, 403)["detail"]
    listed = await api.get("/api-keys")
    assert [one["id"] for one in listed.json()["items"]] == [made["key"]["id"]]
    assert made["secret"] not in listed.text
    assert "hash" not in listed.json()["items"][0]
    problem(await api.post("/api-keys", json={"name": "x", "owner": "nobody"}), 422)
    await api.delete(f"/api-keys/{made['key']['id']}")
    problem(await stranger.get("/api/v1/routes", headers=program), 401)
    problem(await api.delete(f"/api-keys/{made['key']['id']}"), 404)


async def test_what_is_done_is_on_record_whatever_came_of_it(api):
    await api.put("/prices/x", json={"input": 1})
    await api.put("/routes/shop", json={"backends": ["nope"]})
    await api.post("/users", json={"name": "vera"})
    entries = (await api.get("/audit")).json()["items"]
    assert [(one["action"], one["target"], one["outcome"]) for one in entries] == [
        ("users.create", "users/vera", "done"),
        ("routes.update", "routes/shop", "refused"),
        ("prices.update", "prices/x", "done"),
    ]
    assert entries[2]["detail"] == "revision 2"
    page = (await api.get("/audit", params={"limit": 1, "action": "routes"})).json()
    assert [one["target"] for one in page["items"]] == ["routes/shop"]
    older = (await api.get("/audit", params={"limit": 2, "cursor": entries[1]["id"]})).json()
    assert [one["target"] for one in older["items"]] == ["prices/x"]


async def test_roles(api, stranger):
    for role in ("viewer", "operator"):
        made = (await api.post("/api-keys", json={"name": "r", "role": role, "owner": "admin"})).json()
        stranger.headers["authorization"] = f"Bearer {made['secret']}"
        allowed = {
            ("GET", "/routes"): True,
            ("GET", "/live"): True,
            ("GET", "/audit"): role == "operator",
            ("PUT", "/prices/x"): role == "operator",
            ("PUT", "/certificates/x"): False,
            ("GET", "/users"): False,
        }
        for (method, path), may in allowed.items():
            body = {"json": {}} if method == "PUT" else {}
            answer = await stranger.request(method, f"/api/v1{path}", **body)
            assert (answer.status_code != 403) is may, (role, path, answer.text)
