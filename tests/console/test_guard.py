"""The protection against other sites, and the headers of every response."""

import httpx
import pytest

from console.conftest import ORIGIN, FakeServices
from tollgate_console.routes import ROUTES

CHANGES = [
    ("POST", "/api/session"),
    ("DELETE", "/api/session"),
    ("POST", "/api/accounts/v1/keys"),
    ("DELETE", "/api/accounts/v1/keys/0190-ab"),
    ("POST", "/api/accounts/v1/accounts"),
    ("POST", "/api/accounts/v1/keys/0190-ab/rotations"),
    ("PATCH", "/api/accounts/v1/members/0190-ab"),
    ("PUT", "/api/accounts/v1/password"),
    ("DELETE", "/api/accounts/v1/sessions/0190-ab"),
]
OTHERS = {
    "a form of another site": {"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"},
    "a page of a neighbor": {"Origin": "http://other.console.test", "Sec-Fetch-Site": "same-site"}
    | {"Tollgate-Console": "1"},
    "another origin, from an old browser": {"Origin": "https://evil.test", "Tollgate-Console": "1"},
    "no browser at all": {"Tollgate-Console": "1"},
    "a form of our own origin": {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"},
    "a sandboxed frame": {"Origin": "null", "Tollgate-Console": "1"},
}


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize("who", OTHERS)
async def test_only_our_pages_change_anything(
    browser: httpx.AsyncClient, played: FakeServices, method: str, path: str, who: str
) -> None:
    answer = await browser.request(method, path, json={}, headers=OTHERS[who])
    assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
    assert not played.asked


def test_every_call_that_changes_something_is_among_those_guarded() -> None:
    assert {route.method for route in ROUTES} == {"GET", "POST", "PUT", "PATCH", "DELETE"}


async def test_an_old_browser_of_our_own_origin_is_accepted(browser: httpx.AsyncClient, played: FakeServices) -> None:
    played.answers["POST", "http://accounts.test/v1/keys"] = httpx.Response(201, json={"key": "tg_new"})
    headers = {"Origin": ORIGIN, "Tollgate-Console": "1"}
    answer = await browser.post("/api/accounts/v1/keys", json={"name": "laptop"}, headers=headers)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/", "/keys", "/assets/main-ABC.js", "/assets/none.js", "/api/session", "/api/x", "/healthz"]
)
async def test_every_response_has_the_headers(stranger: httpx.AsyncClient, path: str) -> None:
    headers = (await stranger.get(path)).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


async def test_metrics_and_documents_are_not_public(stranger: httpx.AsyncClient) -> None:
    for path in ("/metrics", "/docs", "/openapi.json"):
        assert "<title>Tollgate</title>" in (await stranger.get(path)).text
