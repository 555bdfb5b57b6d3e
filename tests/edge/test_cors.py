"""A page of another origin, as far as its browser asks and is answered."""

from typing import Any

import httpx
import pytest

from edge.running import WITHIN_S, RunningEdge

pytestmark = pytest.mark.live

ORIGIN = {"origin": "https://app.example"}
BODY: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


def ask(edge: RunningEdge, method: str, path: str, **request: Any) -> httpx.Response:
    return httpx.request(method, edge.url + path, trust_env=False, timeout=WITHIN_S, **request)


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/messages", "/v1/models", "/v1/models/gpt-4o", "/v1/no/such/path"]
)
def test_preflight_is_allowed(edge: RunningEdge, path: str) -> None:
    wanted = "authorization,content-type,x-stainless-os"
    asked = {**ORIGIN, "access-control-request-method": "POST", "access-control-request-headers": wanted}
    answer = ask(edge, "OPTIONS", path, headers=asked)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == wanted
    assert answer.headers["access-control-allow-methods"] == "GET, POST"
    assert int(answer.headers["access-control-max-age"]) > 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/chat/completions", BODY, 200),
        ("POST", "/v1/chat/completions", {**BODY, "stream": True}, 200),
        ("POST", "/v1/chat/completions", {**BODY, "model": "unheard-of"}, 404),
        ("GET", "/v1/chat/completions", None, 405),
        ("GET", "/v1/models", None, 200),
        ("GET", "/v1/models/unheard-of", None, 404),
        ("DELETE", "/v1/models", None, 405),
        ("POST", "/v1/no/such/path", {}, 404),
    ],
)
def test_every_response_is_readable_by_pages(edge: RunningEdge, method: str, path: str, body: Any, status: int) -> None:
    headers = {**ORIGIN, "authorization": f"Bearer {edge.keys.good}"}
    answer = ask(edge, method, path, headers=headers, json=body)
    assert answer.status_code == status
    assert answer.headers.get_list("access-control-allow-origin") == ["*"]
    assert answer.headers["access-control-expose-headers"] == "*"


def test_authentication_error_is_readable_by_pages(edge: RunningEdge) -> None:
    answer = ask(edge, "POST", "/v1/messages", headers={**ORIGIN, "x-api-key": "tg_wrong"}, json={})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, "*")


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/docs"])
def test_operator_endpoints_have_no_cors(edge: RunningEdge, path: str) -> None:
    assert "access-control-allow-origin" not in ask(edge, "GET", path, headers=ORIGIN).headers
    assert ask(edge, "OPTIONS", path, headers=ORIGIN).status_code == 405
