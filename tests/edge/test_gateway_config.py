"""`gateway.yaml`: what is wrong in it is told with its line and its name; the documented example loads."""

from pathlib import Path

import pytest

from edge.test_vertex import service_account
from tollgate_edge.providers.options import ProviderOptions
from tollgate_edge.routing.config import GatewayConfig, ProviderConfig, read_config
from tollgate_edge.routing.document import InvalidDocument
from tollgate_edge.routing.protocols import PROTOCOLS

EXAMPLE_KEYS = {
    **dict.fromkeys(("OPENAI_API_KEY", "OPENAI_API_KEY_2", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"), "sk-example"),
    **dict.fromkeys(("SPARE_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_CLIENT_SECRET"), "sk-example"),
    "BEDROCK_API_KEY": "ABSKexample",
    "VERTEX_SERVICE_ACCOUNT": service_account("https://oauth2.googleapis.com/token"),
}
EXAMPLE = Path(__file__).parents[2] / "deploy" / "gateway.yaml"
GOOD = """\
providers:
  openai:
    protocol: openai
    base_url: https://api.openai.com/v1
    keys:
      - env: FIRST_KEY
      - env: SECOND_KEY
  spare:
    protocol: openai
    base_url: http://spare.internal/v1
    keys: [{env: FIRST_KEY}]
models:
  gpt-4o:
    aliases: [newest]
    targets:
      - provider: openai
        weight: 3
      - provider: spare
        model: gpt-4o-spare
        priority: 1
"""


@pytest.fixture(autouse=True)
def keys_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST_KEY", "sk-first")
    monkeypatch.setenv("SECOND_KEY", "sk-second")


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidDocument) as caught:
        read_config(text, PROTOCOLS)
    return [str(problem) for problem in caught.value.problems]


def test_valid_file() -> None:
    config = read_config(GOOD, PROTOCOLS)
    assert [key.read().get_secret_value() for key in config.providers["openai"].keys or ()] == ["sk-first", "sk-second"]
    assert [(target.provider, target.model, target.weight) for target in config.models["gpt-4o"].targets] == [
        ("openai", None, 3),
        ("spare", "gpt-4o-spare", 1),
    ]


SECOND = "      - env: SECOND_KEY"
TARGETS = "models.gpt-4o.targets"
WRONG = {
    "weight: 3 > weight: 0": f"line 17: {TARGETS}[0].weight: Input should be greater than or equal to 1, but got 0",
    "weight: 3 > wieght: 3": f"line 17: {TARGETS}[0].wieght: unknown field",
    "provider: spare > provider: spear": f"line 18: {TARGETS}[1].provider: unknown provider 'spear'; expected one of: ",
    f"{SECOND} >       - env: THIRD_KEY": "line 7: providers.openai.keys[1]: the environment variable THIRD_KEY is not",
    f"{SECOND} >       - file: /no/such": "line 7: providers.openai.keys[1]: /no/such cannot be read: No such file",
    f"{SECOND} >       - {{}}": "line 7: providers.openai.keys[1]: expected exactly one of env and file",
    "    keys: [{env: FIRST_KEY}]\n > ": "line 8: providers.spare.keys: is missing",
    "http://spare.internal/v1 > spare.internal": "line 10: providers.spare.base_url: ",
    "aliases: [newest] > aliases: [gpt-4o]": "line 14: models.gpt-4o.aliases[0]: 'gpt-4o' is already a model's name",
    "aliases: [newest] > aliases: newest": "line 14: models.gpt-4o.aliases: Input should be a valid tuple, but got",
    "  spare:\n >   openai:\n": "line 8: providers.openai: duplicate key",
    "models: > models: {": "invalid YAML: ",
}


@pytest.mark.parametrize(("change", "told"), WRONG.items())
def test_problem_is_reported_with_line(change: str, told: str) -> None:
    old, new = change.split(" > ")
    assert old in GOOD
    assert any(told in problem for problem in problems(GOOD.replace(old, new))), problems(GOOD.replace(old, new))


def test_unsupported_protocol() -> None:
    (told,) = problems(GOOD.replace("protocol: openai\n    base_url: http:", "protocol: smoke\n    base_url: http:"))
    assert told.startswith("line 9: providers.spare.protocol: 'smoke' is not a supported protocol; expected one of: ")


def test_protocol_without_default_requires_base_url() -> None:
    old = "protocol: openai\n    base_url: http://spare.internal/v1"
    assert problems(GOOD.replace(old, "protocol: openai-compatible")) == [
        "line 8: providers.spare: base_url is missing; protocol openai-compatible has no default"
    ]


def test_all_problems_are_reported() -> None:
    told = problems(GOOD.replace("provider: spare", "provider: spear").replace("SECOND_KEY", "THIRD_KEY"))
    assert [line.partition(":")[0] for line in told] == ["line 7", "line 18"]


AZURE = """\
providers:
  azure:
    protocol: azure
    base_url: https://example.openai.azure.com
    api_version: 2024-10-21
    keys: [{env: FIRST_KEY}]
"""
WRONG_OPTIONS = {
    "protocol: azure > protocol: openai": "line 5: providers.azure.api_version: protocol openai does not",
    "    base_url: https://example.openai.azure.com\n > ": "line 2: providers.azure: base_url is missing; protocol",
    "api_version: 2024-10-21 > client_id: app": "line 2: providers.azure: tenant_id and client_id require each other",
    "    keys: [{env: FIRST_KEY}]\n > ": "line 2: providers.azure.keys: is missing",
    "keys: [{env: FIRST_KEY}] > keys: []": "line 6: providers.azure.keys: Tuple should have at least 1 item",
}


def test_options_of_a_protocol() -> None:
    options = read_config(AZURE, PROTOCOLS).providers["azure"].options
    assert options == ProviderOptions(api_version="2024-10-21")


@pytest.mark.parametrize(("change", "told"), WRONG_OPTIONS.items())
def test_wrong_options(change: str, told: str) -> None:
    old, new = change.split(" > ")
    assert old in AZURE
    assert any(told in problem for problem in problems(AZURE.replace(old, new))), problems(AZURE.replace(old, new))


CLOUDS = """\
providers:
  google:
    protocol: vertex
    region: global
    project: my-project
  amazon:
    protocol: bedrock
    region: us-east-1
    keys: [{env: FIRST_KEY}]
"""


def test_credentials_of_the_machine_replace_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST_KEY", "ABSKexample")
    config = read_config(CLOUDS, PROTOCOLS)
    assert config.providers["google"].keys is None
    assert PROTOCOLS["bedrock"].default_url(config.providers["amazon"].options) == (
        "https://bedrock-runtime.us-east-1.amazonaws.com"
    )


def test_wrong_key_and_missing_option_of_a_cloud() -> None:
    project, key = problems(CLOUDS.replace("    project: my-project\n", ""))
    assert project == "line 2: providers.google.project: is missing; protocol vertex requires it"
    assert key.startswith(
        "line 8: providers.amazon.keys[0]: the key is neither an API key of Bedrock nor ACCESS_KEY_ID:"
    )


@pytest.mark.parametrize("text", ["", "providers: {}", "models: {}"])
def test_file_without_providers(text: str) -> None:
    assert problems(text) == ["line 1: providers: is empty; at least one provider is required"]


@pytest.mark.parametrize("text", ["- a", "just text", "providers: 5"])
def test_file_with_invalid_shape(text: str) -> None:
    assert len(problems(text)) == 1


@pytest.mark.parametrize("pasted", ["- sk-secret", "- env: sk-secret", "- {key: sk-secret}"])
def test_key_is_never_reported(pasted: str) -> None:
    text = GOOD.replace("- env: SECOND_KEY", pasted)
    assert not any("sk-secret" in line for line in problems(text)), problems(text)


def test_example_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, key in EXAMPLE_KEYS.items():
        monkeypatch.setenv(name, key)
    config = read_config(EXAMPLE.read_text(), PROTOCOLS)
    assert {provider.protocol for provider in config.providers.values()} == set(PROTOCOLS)
    for part in (GatewayConfig, ProviderConfig, *(type(value) for value in (config.retries, config.breaker))):
        for field in part.model_fields:
            assert f"{field}:" in EXAMPLE.read_text(), field
