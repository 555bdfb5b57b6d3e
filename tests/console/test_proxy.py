"""The requests that are forwarded to the services, their credentials, and the requests that are rejected."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from console.conftest import ACCESS_TOKEN, OWN_PAGE, SESSION, Clock, FakeServices
from tollgate_console import proxy
from tollgate_console.services import TOKEN_CACHED_S

BALANCE = "http://balance.test/v1/balance"
HERS, HIS = "019dafc2-0000-7000-8000-000000000001", "019dafc2-0000-7000-8000-000000000002"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/accounts/v1/operator/accounts"),
        ("POST", "/api/accounts/internal/v1/tokens"),
        ("POST", "/api/accounts/v1/tokens"),
        ("POST", "/api/accounts/v1/sessions"),
        ("GET", "/api/balance/v1/accounts/0190/balance"),
        ("GET", "/api/analytics/v1/operator/margins"),
        ("POST", "/api/billing/v1/prices"),
        ("GET", "/api/balance/v1/balance/"),
        ("GET", "/api/balance/v1/../metrics"),
        ("GET", "/api/balance/v1/%2e%2e/internal/v1/boots"),
        ("DELETE", "/api/accounts/v1/keys/..%2fperson"),
        ("GET", "/api/balance//evil.test/v1/balance"),
        ("GET", "/api/accounts/v1/keys%0d%0aHost:evil"),
        ("GET", "/api/edge/v1/models"),
        ("GET", "/api/"),
        ("PUT", "/api/accounts/v1/keys/0190"),
        ("POST", "/api/accounts/v1/members"),
        ("DELETE", "/api/accounts/v1/account"),
        ("POST", "/api/accounts/v1/keys/0190/rotations/0191"),
        ("PATCH", "/api/accounts/v1/projects/..%2fkeys%2f0190"),
        ("GET", "/api/accounts/v1/person"),
    ],
)
async def test_unlisted_requests_are_not_forwarded(
    browser: httpx.AsyncClient, played: FakeServices, method: str, path: str
) -> None:
    answer = await browser.request(method, path, headers=OWN_PAGE)
    assert answer.status_code == 404 or "<title>" in answer.text
    assert not played.asked


async def test_accounts_gets_the_session_and_others_get_an_access_token(
    browser: httpx.AsyncClient, played: FakeServices
) -> None:
    played.answers["GET", "http://accounts.test/v1/keys"] = httpx.Response(200, json={"keys": []})
    played.answers["GET", BALANCE] = httpx.Response(200, json={"posted_nano": 1}, headers={"Set-Cookie": "a=b"})
    await browser.get("/api/accounts/v1/keys?limit=5")
    answer = await browser.get("/api/balance/v1/balance")
    assert answer.json() == {"posted_nano": 1}
    assert "set-cookie" not in answer.headers
    keys, tokens, balance = played.asked
    assert (keys.url.query, keys.headers["authorization"]) == (b"limit=5", f"Bearer {SESSION}")
    assert (tokens.url.path, tokens.headers["authorization"]) == ("/v1/tokens", f"Bearer {SESSION}")
    assert balance.headers["authorization"] == f"Bearer {ACCESS_TOKEN}"
    assert not [request for request in played.asked if "cookie" in request.headers]


async def test_a_page_gets_its_own_organization_whatever_the_session_is_in(
    browser: httpx.AsyncClient, played: FakeServices
) -> None:
    """Another page, or another instance of the console, may have switched meanwhile."""

    def token(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"token": f"of-{request.headers.get('Tollgate-Organization')}"})

    played.answers["POST", "http://accounts.test/v1/tokens"] = token
    played.answers["GET", BALANCE] = lambda request: httpx.Response(200, json=request.headers["authorization"])
    usage = "http://analytics.test/v1/usage"
    played.answers["GET", usage] = lambda request: httpx.Response(200, json=request.headers["authorization"])
    played.answers["GET", "http://accounts.test/v1/keys"] = lambda _: httpx.Response(200, json={"keys": []})
    for organization in (HERS, HIS, HERS):
        about = {"Tollgate-Organization": organization}
        answer = await browser.get("/api/balance/v1/balance", headers=about)
        assert answer.json() == f"Bearer of-{organization}"
        answer = await browser.get(f"/api/analytics/v1/usage?a=1&organization={organization}&b=2")
        assert answer.json() == f"Bearer of-{organization}"
        assert played.asked[-1].url.query == b"a=1&b=2"
        await browser.get("/api/accounts/v1/keys", headers=about)
        assert played.asked[-1].headers["Tollgate-Organization"] == organization
    assert played.paths().count("/v1/tokens") == 2
    for nobody in ("none", "../x", HERS + "0"):
        refused = await browser.get("/api/balance/v1/balance", headers={"Tollgate-Organization": nobody})
        assert (refused.status_code, refused.json()["code"]) == (404, "organization_not_found")


async def test_credentials_that_a_browser_sends_itself_are_dropped(
    stranger: httpx.AsyncClient, played: FakeServices
) -> None:
    played.answers["GET", "http://billing.test/v1/prices"] = httpx.Response(200, json={"data": []})
    headers = {"Authorization": "Bearer tgs_other", "X-Internal": "1"}
    assert (await stranger.get("/api/balance/v1/balance", headers=headers)).status_code == 401
    assert not played.asked
    assert (await stranger.get("/api/billing/v1/prices", headers=headers)).status_code == 200
    (asked,) = played.asked
    assert not {"authorization", "x-internal"} & asked.headers.keys()


async def test_concurrent_requests_share_one_token_a_minute(
    browser: httpx.AsyncClient, played: FakeServices, clock: Clock
) -> None:
    played.answers["GET", BALANCE] = httpx.Response(200, json={})
    await asyncio.gather(*(browser.get("/api/balance/v1/balance") for _ in range(5)))
    assert played.paths().count("/v1/tokens") == 1
    clock.now_s += TOKEN_CACHED_S
    await browser.get("/api/balance/v1/balance")
    assert played.paths().count("/v1/tokens") == 2


async def test_another_organization_needs_another_token(browser: httpx.AsyncClient, played: FakeServices) -> None:
    played.answers["GET", BALANCE] = httpx.Response(200, json={})
    switch = "accounts/v1/sessions/current/organization"
    played.answers["PUT", f"http://{switch.replace('accounts', 'accounts.test', 1)}"] = httpx.Response(204)
    await browser.get("/api/balance/v1/balance")
    answer = await browser.put(f"/api/{switch}", json={"account_id": "0190"}, headers=OWN_PAGE)
    assert answer.status_code == 204
    await browser.get("/api/balance/v1/balance")
    assert played.paths().count("/v1/tokens") == 2


async def test_a_session_that_ended_elsewhere_is_reported(browser: httpx.AsyncClient, played: FakeServices) -> None:
    played.answers["POST", "http://accounts.test/v1/tokens"] = httpx.Response(401, json={"code": "invalid_session"})
    answer = await browser.get("/api/balance/v1/balance")
    assert (answer.status_code, answer.json()["code"]) == (401, "session_required")


async def test_an_unavailable_service_is_named(browser: httpx.AsyncClient, played: FakeServices) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    played.answers["GET", BALANCE] = away
    answer = await browser.get("/api/balance/v1/balance")
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert "balance" in answer.json()["detail"]


async def test_the_client_address_is_appended_to_x_forwarded_for(
    stranger: httpx.AsyncClient, played: FakeServices
) -> None:
    played.answers["POST", "http://accounts.test/v1/accounts"] = httpx.Response(201, json={})
    headers = OWN_PAGE | {"X-Forwarded-For": "198.51.100.7"}
    await stranger.post("/api/accounts/v1/accounts", json={}, headers=headers)
    assert played.asked[-1].headers["x-forwarded-for"] == "198.51.100.7, 127.0.0.1"


async def test_a_body_over_the_limit_is_rejected(browser: httpx.AsyncClient, played: FakeServices) -> None:
    body = b"x" * (proxy.MAX_BODY_BYTES + 1)
    answer = await browser.post("/api/accounts/v1/keys", content=body, headers=OWN_PAGE)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert not played.asked


class Endless(httpx.AsyncByteStream):
    """A live stream with an event for every read."""

    def __init__(self) -> None:
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"data: {}\n\n"

    async def aclose(self) -> None:
        self.is_closed = True


async def test_a_live_stream_is_forwarded_and_ends_in_time(
    browser: httpx.AsyncClient, played: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "STREAM_S", 0.05)
    stream = Endless()
    played.answers["GET", "http://analytics.test/v1/live"] = httpx.Response(
        200, headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}, stream=stream
    )
    answer = await browser.get("/api/analytics/v1/live", headers={"Last-Event-ID": "abc"})
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.content.startswith(b"data: {}\n\n")
    assert played.asked[-1].headers["last-event-id"] == "abc"
    assert stream.is_closed


async def test_an_interrupted_file_does_not_look_complete(browser: httpx.AsyncClient, played: FakeServices) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b"id,model\n"
        raise httpx.ReadError("gone")

    played.answers["GET", "http://analytics.test/v1/requests/export"] = lambda _: httpx.Response(
        200, headers={"Content-Type": "text/csv", "Content-Disposition": 'attachment; filename="a.csv"'}, content=half()
    )
    with pytest.raises(httpx.ReadError):
        await browser.get("/api/analytics/v1/requests/export?format=csv")
