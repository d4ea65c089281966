"""Who gets into a manager that runs: the first login, roles, restarts, TLS; and what is written anywhere."""

import json
import signal
import socket
import ssl

import pytest
import websockets

from tests.ports import free_port
from tests.real.support.certificates import make_certificate
from tests.real.support.https import certificate_at
from tests.real.support.manager import GOOD, contents, manager_alone, visitor
from tests.real.support.up import example, run
from tests.real.support.waiting import until

LISTENER = """
  - name: taken
    address: 127.0.0.1:{port}
    protocol: http
    module: alb
"""
ENDPOINT = "192.0.2.77:7777"
ROUTE = """
  - id: other
    path: /other
    backends: [{pool: shop-v1}]
"""


async def test_from_the_first_login_to_a_restart(tmp_path):
    """One life under `up`: its file's state is revision 1, a changed file is one more, kill -9 ends no session."""
    url = f"https://127.0.0.1:{free_port()}"
    secrets: list[str] = []
    async with example(tmp_path) as up:
        certificate = make_certificate(tmp_path, "manager.example")
        section = {
            "http": url.removeprefix("https://"),
            "metrics": f"127.0.0.1:{free_port()}",
            "tls": {"cert": str(certificate), "key": str(certificate.with_suffix(".key"))},
        }
        up.file.write_text(f"manager: {json.dumps(section)}\n{up.file.read_text()}")
        await up.launch()
        await up.says("ready:", within=60)
        home = up.state / "manager-1"
        first = (home / "initial-password").read_text().strip()
        assert f"password in {home / 'initial-password'}" in up.process.log.read_text()
        async with visitor(url, verify=False) as admin:
            answer = await admin.sign_in("admin", first)
            assert (answer.status_code, answer.json()["must_change"]) == (201, True)
            assert (await admin.http.get("/api/v1/routes")).status_code == 403
            assert (await admin.change_password(first, GOOD)).json()["must_change"] is False
            assert not (home / "initial-password").exists()
            assert (await admin.http.get("/api/v1/routes")).json()["total"] == 1
            token = admin.http.cookies["__Host-mp_session"]
            secrets += [first, GOOD, token, admin.http.headers["x-csrf-token"]]

            made = await admin.http.post("/api/v1/api-keys", json={"name": "ci", "role": "viewer"})
            assert made.status_code == 201, made.text
            secrets.append(made.json()["secret"])

            await reload(up)
            assert (await admin.http.get("/api/v1/routes")).json()["total"] == 2
            await refused_reload(up)
            assert (await admin.http.get("/api/v1/routes")).json()["total"] == 2

            local = (home / "local.key").read_text().strip()
            up.part("manager").send_signal(signal.SIGKILL)
            await up.says("manager-1   ready", times=2, within=60)
            assert (await admin.http.get("/api/v1/session")).json()["name"] == "admin"
            headers = {"authorization": f"Bearer {secrets[-1]}"}
            async with visitor(url, verify=False, headers=headers) as program:
                assert (await program.http.get("/api/v1/session")).json()["kind"] == "key"
                program.http.headers["authorization"] = f"Bearer {local}"  # of the life before
                assert (await program.http.get("/api/v1/session")).status_code == 401
        kept = await contents(up.state) + up.process.log.read_bytes()
        assert [secret for secret in secrets if secret.encode() in kept] == []
        code, out, err = await run("down", str(up.file), "--state-dir", str(up.state))
        assert code == 0, out + err
        text = up.process.log.read_text()
        stopping = [line.split()[1] for line in text.splitlines() if " stopping" in line]
        assert stopping == ["manager-1", "alb-1", "nlb-1"], text


async def reload(up) -> None:
    assert up.process is not None
    up.edit("\nroutes:\n", f"\nroutes:{ROUTE}")
    up.process.send(signal.SIGHUP)
    await up.says("is in force everywhere, revision 2", within=40)


async def refused_reload(up) -> None:
    """What the file alone does not show: the NLB cannot have the port. The copy of the parts stays as it was."""
    assert up.process is not None
    before = (up.state / "running.yaml").read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listener = LISTENER.format(port=taken.getsockname()[1])
        up.edit("\nlisteners:\n", f"\nlisteners:{listener}")
        up.process.send(signal.SIGHUP)
        await up.says("refused", within=40)
    up.edit(listener, "\n")
    assert (up.state / "running.yaml").read_bytes() == before


async def test_by_itself_behind_a_proxy_with_tls(tmp_path):
    """Roles, guesses, what is written down and what is not, a changed file, a renewed certificate."""
    certificate = make_certificate(tmp_path, "localhost")
    tls = {"cert": str(certificate), "key": str(certificate.with_suffix(".key"))}
    trust = ssl.create_default_context(cafile=certificate)
    async with manager_alone(tmp_path, tls=tls, trusted_proxies=["127.0.0.0/8"]) as alone:
        url = alone.url.replace("127.0.0.1", "localhost")
        async with visitor(url, verify=trust) as admin, visitor(url, verify=trust) as viewer:
            admin.http.headers["x-forwarded-for"] = "198.51.100.7"
            await admin.sign_in("admin", alone.initial_password)
            answer = await admin.change_password(alone.initial_password, GOOD)
            assert "strict-transport-security" in answer.headers
            assert {"__Host-mp_session", "__Host-mp_csrf"} == set(admin.http.cookies)
            assert all(cookie.secure for cookie in admin.http.cookies.jar)
            await what_is_written(admin, tmp_path)
            await roles(admin, viewer)
            await guesses(viewer)
            assert (await admin.http.get("/api/v1/session")).json()["name"] == "admin"  # who is in stays
            await reload_alone(alone, admin)
        before = await certificate_at(alone.port)
        make_certificate(tmp_path, "localhost")

        async def renewed() -> bool:
            return (await certificate_at(alone.port)).serial_number != before.serial_number

        await until(renewed)


async def what_is_written(admin, folder) -> None:
    logins = (await admin.http.get("/api/v1/audit")).json()["items"]
    assert {one["address"] for one in logins} == {"198.51.100.7"}
    pool = {"name": "hidden", "endpoints": [ENDPOINT]}
    put = await admin.http.put("/api/v1/pools/hidden", json=pool)
    assert put.status_code in {200, 201}, put.text
    assert ENDPOINT in (await admin.http.get("/api/v1/pools/hidden")).text
    assert ENDPOINT.encode() not in await contents(folder)


async def roles(admin, viewer) -> None:
    made = await admin.http.post("/api/v1/users", json={"name": "vera", "role": "viewer"})
    assert made.status_code == 201, made.text
    given = made.json()["password"]
    await viewer.sign_in("vera", given)
    await viewer.change_password(given, GOOD)
    for method, path in (("GET", "/api/v1/users"), ("PUT", "/api/v1/pools/x"), ("GET", "/api/v1/audit")):
        answer = await viewer.http.request(method, path, json={} if method == "PUT" else None)
        assert answer.status_code == 403, (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    denied = (await admin.http.get("/api/v1/audit")).json()["items"]
    assert any(one["who"] == "vera" and one["outcome"] == "denied" for one in denied)
    del viewer.http.headers["x-csrf-token"]
    assert (await viewer.http.delete("/api/v1/session")).status_code == 403
    foreign = {"origin": "http://evil.example"}
    assert (await admin.http.delete("/api/v1/session", headers=foreign)).status_code == 403


async def guesses(viewer) -> None:
    answers = [await viewer.sign_in("admin", f"guess number {number}") for number in range(8)]
    codes = [answer.status_code for answer in answers]
    assert set(codes) == {401, 429}
    assert codes[:5] == [401] * 5
    last = next(answer for answer in answers if answer.status_code == 429)
    assert int(last.headers["retry-after"]) >= 1


async def reload_alone(alone, admin) -> None:
    """SIGHUP: a file with a fault changes nothing, a sound one is the next revision."""
    assert alone.process is not None
    sound = json.loads(alone.file.read_text()) | {"pools": [{"name": "new", "endpoints": [ENDPOINT]}]}
    alone.file.write_text("pools: {")
    alone.process.send(signal.SIGHUP)
    await until(lambda: "the changed file is not put in force" in alone.process.log.read_text())
    alone.file.write_text(json.dumps(sound))
    alone.process.send(signal.SIGHUP)

    async def taken() -> bool:
        return (await admin.http.get("/api/v1/pools/new")).status_code == 200

    await until(taken)


async def test_what_the_server_does_not_put_up_with(tmp_path):
    """A page of somebody else's that opens a WebSocket, a head without end, a body without end; waiting for a stream's end."""
    limits = {"max_body_bytes": 100_000, "drain_seconds": 3600}
    async with manager_alone(tmp_path, **limits) as alone, visitor(alone.url) as anybody:
        address = f"ws://127.0.0.1:{alone.port}/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
        with pytest.raises(websockets.InvalidStatus, match="403"):
            await websockets.connect(address, origin="http://evil.example", proxy=None)
        answer = await anybody.http.get("/readyz", headers={"x-long": "x" * 100_000})
        assert answer.status_code == 431
        answer = await anybody.http.post("/api/v1/session", content=b" " * 3_000_000)
        assert answer.status_code == 413
        key = {"authorization": f"Bearer {(alone.home / 'local.key').read_text().strip()}"}
        async with anybody.http.stream("GET", "/api/v1/events/stream", headers=key) as stream:
            assert stream.status_code == 200
            alone.process.send(signal.SIGTERM)
            assert await alone.process.ended(20) == 0
