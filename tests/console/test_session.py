"""Sign-in and sign-out. The session's token stays in a cookie that no script can read."""

import logging
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest

from console.conftest import ACCESS_TOKEN, OWN_PAGE, SESSION, FakeServices
from tollgate_console.api import build_app
from tollgate_console.pages import Pages
from tollgate_console.services import Services

CREDENTIALS = {"email": "ada@example.com", "password": "a long password"}


async def test_the_cookie_is_bound_to_the_host_and_hidden_from_scripts(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.post("/api/session", json=CREDENTIALS, headers=OWN_PAGE)
    assert answer.status_code == 201
    assert SESSION not in answer.text
    (cookie,) = answer.headers.get_list("set-cookie")
    morsel = SimpleCookie(cookie)["tollgate_console"]
    assert morsel.value == SESSION
    assert (morsel["httponly"], morsel["samesite"], morsel["path"], morsel["domain"]) == (True, "strict", "/", "")
    assert int(morsel["max-age"]) > 0


async def test_with_tls_the_cookie_is_secure(services: Services, static: Path) -> None:
    app = build_app(Pages(static), services, origin="https://console.test", api_url="https://edge.test/v1")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://console.test") as client:
        answer = await client.post("/api/session", json=CREDENTIALS, headers=OWN_PAGE)
    assert answer.headers["set-cookie"].startswith("__Host-tollgate_console=")
    assert "; Secure" in answer.headers["set-cookie"]
    assert answer.headers["strict-transport-security"]


async def test_the_session_is_described(stranger: httpx.AsyncClient, played: FakeServices) -> None:
    nobody = {"person": None, "account": None, "api_url": "http://edge.test/v1"}
    assert (await stranger.get("/api/session")).json() == nobody
    assert not played.asked
    await stranger.post("/api/session", json=CREDENTIALS, headers=OWN_PAGE)
    answer = await stranger.get("/api/session")
    assert answer.json()["account"] == {"email": "ada@example.com"}
    assert answer.headers["cache-control"] == "no-store"


async def test_a_session_that_has_ended_loses_its_cookie(browser: httpx.AsyncClient, played: FakeServices) -> None:
    for path in ("account", "organizations", "person"):
        played.answers["GET", f"http://accounts.test/v1/{path}"] = httpx.Response(401, json={"code": "invalid_session"})
    answer = await browser.get("/api/session")
    assert (answer.json()["person"], answer.json()["account"]) == (None, None)
    assert "Max-Age=0" in answer.headers["set-cookie"]


async def test_a_removed_member_continues_in_another_organization(
    browser: httpx.AsyncClient, played: FakeServices
) -> None:
    own = {"name": "own", "email": "ada@example.com"}

    def account(request: httpx.Request) -> httpx.Response:
        has_switched = "/v1/sessions/current/organization" in played.paths()
        return httpx.Response(200, json=own) if has_switched else httpx.Response(404, json={})

    def switch(request: httpx.Request) -> httpx.Response:
        assert request.read() == b'{"account_id":"0190"}'
        return httpx.Response(204)

    played.answers["GET", "http://accounts.test/v1/account"] = account
    played.answers["GET", "http://accounts.test/v1/organizations"] = httpx.Response(
        200, json={"organizations": [{"account_id": "0190"}, {"account_id": "0191"}]}
    )
    played.answers["PUT", "http://accounts.test/v1/sessions/current/organization"] = switch
    assert (await browser.get("/api/session")).json()["account"] == own


async def test_a_person_without_an_organization_stays_signed_in(
    browser: httpx.AsyncClient, played: FakeServices
) -> None:
    played.answers["GET", "http://accounts.test/v1/account"] = httpx.Response(404, json={})
    played.answers["GET", "http://accounts.test/v1/organizations"] = httpx.Response(200, json={"organizations": []})
    answer = await browser.get("/api/session")
    assert (answer.json()["person"], answer.json()["account"]) == ({"email": "ada@example.com"}, None)
    assert "set-cookie" not in answer.headers
    played.answers["POST", "http://accounts.test/v1/tokens"] = httpx.Response(404, json={})
    answer = await browser.get("/api/balance/v1/balance")
    assert (answer.status_code, answer.json()["code"]) == (404, "organization_not_found")


async def test_the_error_of_a_wrong_password_is_that_of_accounts(
    stranger: httpx.AsyncClient, played: FakeServices
) -> None:
    refusal = httpx.Response(401, json={"code": "invalid_credentials", "detail": "no"}, headers={"Retry-After": "7"})
    played.answers["POST", "http://accounts.test/v1/sessions"] = refusal
    answer = await stranger.post("/api/session", json=CREDENTIALS, headers=OWN_PAGE)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
    assert answer.headers["retry-after"] == "7"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"email": "a"}', b'{"email": 1, "password": "secret"}', b"\xff", b'{"password": "se']
)
async def test_an_invalid_sign_in_is_rejected_without_quoting_it(
    stranger: httpx.AsyncClient, played: FakeServices, body: bytes
) -> None:
    answer = await stranger.post("/api/session", content=body, headers=OWN_PAGE)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert "secret" not in answer.text
    assert not played.asked


async def test_signing_out_ends_the_session_at_accounts(browser: httpx.AsyncClient, played: FakeServices) -> None:
    played.answers["DELETE", "http://accounts.test/v1/sessions/current"] = httpx.Response(204)
    answer = await browser.delete("/api/session", headers=OWN_PAGE)
    assert answer.status_code == 204
    assert "Max-Age=0" in answer.headers["set-cookie"]
    (asked,) = played.asked
    assert asked.headers["authorization"] == f"Bearer {SESSION}"
    assert (await browser.get("/api/balance/v1/balance")).status_code == 401


async def test_a_session_that_could_not_be_ended_does_not_look_ended(
    browser: httpx.AsyncClient, played: FakeServices
) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    played.answers["DELETE", "http://accounts.test/v1/sessions/current"] = away
    answer = await browser.delete("/api/session", headers=OWN_PAGE)
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert "set-cookie" not in answer.headers


async def test_no_secret_is_logged(
    stranger: httpx.AsyncClient, played: FakeServices, caplog: pytest.LogCaptureFixture
) -> None:
    played.answers["GET", "http://balance.test/v1/balance"] = httpx.Response(500, text="broken")
    with caplog.at_level(logging.DEBUG):
        await stranger.post("/api/session", json=CREDENTIALS, headers=OWN_PAGE)
        await stranger.get("/api/balance/v1/balance")
        await stranger.post("/api/session", content=b'{"password": "a long password"', headers=OWN_PAGE)
    for secret in (SESSION, ACCESS_TOKEN, CREDENTIALS["password"]):
        assert secret not in caplog.text
