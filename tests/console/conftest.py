"""The console with fake services, which record requests and return configured responses."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tollgate_console.api import build_app
from tollgate_console.pages import Pages
from tollgate_console.services import Services

ORIGIN = "http://console.test"
API_URL = "http://edge.test/v1"
SESSION = "tgs_a-session-that-must-stay-secret"
ACCESS_TOKEN = "an.access.token"
OWN_PAGE = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin", "Tollgate-Console": "1"}

Answer = httpx.Response | Callable[[httpx.Request], httpx.Response]


class FakeServices:
    """Responds by method and URL, and with 404 if no response is configured."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.answers: dict[tuple[str, str], Answer] = {
            ("POST", "http://accounts.test/v1/tokens"): httpx.Response(200, json={"token": ACCESS_TOKEN}),
            ("POST", "http://accounts.test/v1/sessions"): httpx.Response(
                201, json={"token": SESSION, "expires_at": "2100-01-01T00:00:00Z"}, headers={"Set-Cookie": "a=b"}
            ),
            ("GET", "http://accounts.test/v1/person"): httpx.Response(200, json={"email": "ada@example.com"}),
            ("GET", "http://accounts.test/v1/account"): httpx.Response(200, json={"email": "ada@example.com"}),
        }

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        found = self.answers.get((request.method, str(request.url.copy_with(query=None))))
        if found is None:
            return httpx.Response(404, json={"code": "not_found"})
        return found(request) if callable(found) else found

    def paths(self) -> list[str]:
        return [request.url.path for request in self.asked]


@pytest.fixture
def played() -> FakeServices:
    return FakeServices()


@pytest.fixture
def static(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Tollgate</title>")
    (tmp_path / "assets/main-ABC.js").write_text("console.log(1);" * 200)
    return tmp_path


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def services(played: FakeServices, clock: Clock) -> Services:
    urls = {name: f"http://{name}.test" for name in ("accounts", "analytics", "balance", "billing")}
    return Services(urls, transport=httpx.MockTransport(played.answer), now=clock)


@pytest_asyncio.fixture
async def stranger(services: Services, static: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without a session."""
    app = build_app(Pages(static), services, origin=ORIGIN, api_url=API_URL)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as client:
        yield client
    await services.aclose()


@pytest_asyncio.fixture
async def browser(stranger: httpx.AsyncClient, played: FakeServices) -> httpx.AsyncClient:
    """A signed-in browser."""
    body = json.dumps({"email": "ada@example.com", "password": "a long password"})
    answer = await stranger.post("/api/session", content=body, headers=OWN_PAGE)
    assert answer.status_code == 201
    played.asked.clear()
    return stranger
