"""Features that cost without a trace in the usage, or choose another model, are rejected or bounded."""

import json
from typing import Any

import pytest

from tollgate_edge.endpoints import ENDPOINTS
from tollgate_edge.http.errors import ApiError

CHAT: dict[str, Any] = {"model": "cheap", "messages": [{"role": "user", "content": "Hi"}]}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"model": "cheap", "prompt": "Hi"},
    "/v1/messages": CHAT | {"max_tokens": 5},
    "/v1/responses": {"model": "cheap", "input": "Hi"},
}
CONTEXT = 200_000


def parse(path: str, **members: Any) -> Any:
    return ENDPOINTS[path].parse(json.dumps(BODIES[path] | members).encode(), {})


def rejected(path: str, **members: Any) -> str | None:
    with pytest.raises(ApiError) as raised:
        parse(path, **members)
    assert raised.value.status == 400
    return raised.value.param


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("plugins", [{"id": "web"}]),
        ("plugins", [{"id": "file-parser", "pdf": {"engine": "mistral-ocr"}}]),
        ("models", ["dear"]),
        ("provider", {"order": ["Dear"]}),
        ("preset", "other"),
        ("fallbacks", ["dear"]),
        ("enable_search", True),
        ("search_options", {"forced_search": True}),
        ("search_parameters", {"mode": "on"}),
        ("search_settings", {"include_domains": ["a"]}),
        ("compound_custom", {"tools": {"enabled_tools": ["web_search"]}}),
        ("web_search_options", {}),
        ("data_sources", [{"type": "azure_search"}]),
        ("Plugins", [{"id": "web"}]),
    ],
)
def test_costly_members_are_rejected(path: str, name: str, value: Any) -> None:
    assert rejected(path, **{name: value}) == name


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "members",
    [
        {"enable_search": False, "models": None, "plugins": [], "provider": {}},
        {"plugins": [{"id": "response-healing"}], "search_parameters": {"mode": "off"}},
        {"transforms": ["middle-out"], "route": "fallback", "some_new_member": {"a": 1}},
    ],
)
def test_harmless_members_pass(path: str, members: dict[str, Any]) -> None:
    parse(path, **members)


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search"},
        {"type": "live_search", "sources": []},
        {"type": "browser_search"},
        {"type": "openrouter:web_search"},
        {"type": "builtin_function", "function": {"name": "$web_search"}},
        {"google_search": {}},
        {},
    ],
)
def test_tools_of_providers_are_rejected(tool: dict[str, Any]) -> None:
    assert rejected("/v1/chat/completions", tools=[{"type": "function", "function": {"name": "a"}}, tool]) == "tools"


def test_tools_of_clients_pass() -> None:
    tools = [{"type": "function", "function": {"name": "a"}}, {"type": "custom", "custom": {"name": "b"}}]
    parse("/v1/chat/completions", tools=[*tools, {"function": {"name": "c"}}])
    parse("/v1/responses", tools=[{"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "a"}]}])


def test_tools_in_a_namespace_are_checked() -> None:
    inner = {"type": "namespace", "name": "m", "tools": [{"type": "web_search"}]}
    assert rejected("/v1/responses", tools=[{"type": "namespace", "name": "n", "tools": [inner]}]) == "tools"


def prompt_tokens(*parts: dict[str, Any], name: str = "content") -> int:
    request = parse("/v1/chat/completions", messages=[{"role": "user", name: parts}])
    return int(request.size(CONTEXT).prompt_tokens)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "video_url", "video_url": {"url": "https://a/b.mp4"}},
        {"type": "audio_url", "audio_url": {"url": "https://a/b.mp3"}},
        {"type": "document_url", "document_url": "https://a/b.pdf"},
        {"type": "input_audio", "input_audio": {"data": "https://a/b.mp3"}},
        {"type": "video", "video": ["https://a/1.png"]},
        {"type": "text", "text": "a", "video_url": {"url": "https://a/b.mp4"}},
        {"video_url": {"url": "https://a/b.mp4"}},
        {"type": "some_new_kind"},
    ],
)
def test_parts_of_unknown_size_reserve_the_whole_context(part: dict[str, Any]) -> None:
    assert prompt_tokens({"type": "text", "text": "a"}, part) == CONTEXT
    assert prompt_tokens(part, name="Content") == CONTEXT


def test_parts_of_known_size_do_not() -> None:
    assert prompt_tokens({"type": "text", "text": "a"}) < 1_000
    assert prompt_tokens({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}) < 1_000
    image = {"type": "image_url", "image_url": {"url": "https://a/b.png"}}
    assert 40_000 < prompt_tokens(image) < CONTEXT
    shouted = {"type": "image_url", "IMAGE_URL": {"url": "https://a/b.png"}}
    assert prompt_tokens(shouted, shouted) > 90_000
