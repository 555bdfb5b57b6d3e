"""The schema of `gateway.yaml`: the providers, and the targets of each model. docs/routing.md describes it.

The file is validated when it is read, including the environment variables and files that hold the providers' keys. Each
problem is reported with its line and path.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from tollgate_edge.providers.options import ProviderOptions
from tollgate_edge.routing.document import Document, InvalidDocument, Problem
from tollgate_edge.routing.document import Path as At

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$")]
OptionText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")]


class ConfigModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KeyReference(ConfigModel):
    """The place of a provider's key, which is never in this file itself."""

    env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("expected exactly one of env and file")
        return self

    def read(self) -> SecretStr:
        """Read the key.

        Raises:
            ValueError: the variable is not set or the file cannot be read.
        """
        if self.env is not None:
            value = os.environ.get(self.env, "")
            if not value:
                raise ValueError(f"the environment variable {self.env} is not set")
            return SecretStr(value)
        assert self.file is not None
        try:
            return SecretStr(self.file.read_text().strip())
        except OSError as error:
            raise ValueError(f"{self.file} cannot be read: {error.strerror}") from error


class TimeoutConfig(ConfigModel):
    connect_s: Annotated[float, Field(gt=0)] = 10
    read_s: Annotated[float, Field(gt=0)] = 600


def _as_text(value: Any) -> Any:
    # YAML reads a version without quotation marks as a date.
    return value.isoformat() if isinstance(value, date) else value


class ProviderConfig(ConfigModel):
    """`api_version` to `project` are options, which only some protocols have: see `ProviderOptions`."""

    protocol: str
    base_url: Url | None = None
    keys: Annotated[tuple[KeyReference, ...], Field(min_length=1)] | None = None
    timeouts: TimeoutConfig = TimeoutConfig()
    api_version: Annotated[OptionText, BeforeValidator(_as_text)] | None = None
    tenant_id: OptionText | None = None
    client_id: OptionText | None = None
    authority: Url | None = None
    region: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")] | None = None
    project: OptionText | None = None

    @property
    def options(self) -> ProviderOptions:
        return ProviderOptions(**{name: getattr(self, name) for name in ProviderOptions._fields})


class TargetConfig(ConfigModel):
    provider: Name
    model: Name | None = None
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    priority: Annotated[int, Field(ge=0, le=1000)] = 0


class ModelConfig(ConfigModel):
    aliases: tuple[Name, ...] = ()
    targets: Annotated[tuple[TargetConfig, ...], Field(min_length=1)]


class RetryConfig(ConfigModel):
    """Retry settings. `attempts` includes the first one. The delay between attempts at one target doubles each time."""

    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    first_delay_s: Annotated[float, Field(gt=0, le=10)] = 0.2
    longest_delay_s: Annotated[float, Field(gt=0, le=60)] = 2
    within_s: Annotated[float, Field(gt=0)] = 30


class CircuitBreakerConfig(ConfigModel):
    failures: Annotated[int, Field(ge=1)] = 5
    open_s: Annotated[float, Field(gt=0)] = 15


class GatewayConfig(ConfigModel):
    providers: dict[Name, ProviderConfig] = {}
    models: dict[Name, ModelConfig] = {}
    retries: RetryConfig = RetryConfig()
    breaker: CircuitBreakerConfig = CircuitBreakerConfig()


def read_config(text: str, protocols: Mapping[str, Any]) -> GatewayConfig:
    """Parse and validate the text of a file.

    Args:
        text: YAML.
        protocols: the supported protocols, by name.

    Raises:
        InvalidDocument: lists every problem.
    """
    document = Document(text)
    try:
        config = GatewayConfig.model_validate({} if document.data is None else document.data)
    except ValidationError as error:
        raise InvalidDocument([_explain(document, part["loc"], part) for part in error.errors()]) from error
    problems = list(_cross_check(config, protocols, document.problem))
    if problems:
        raise InvalidDocument(problems)
    return config


def _explain(document: Document, location: tuple[int | str, ...], part: Mapping[str, Any]) -> Problem:
    # For an invalid key of a mapping, pydantic appends "[key]" to the location.
    path = tuple(step for step in location if step != "[key]")
    message = str(part["msg"]).removeprefix("Value error, ")
    if part["type"] == "extra_forbidden":
        message = "unknown field"
    elif part["type"] == "missing":
        message = "is missing"
    elif "keys" not in path and not isinstance(part.get("input"), dict | list | None):
        # Values under `keys` are never shown: a key may have been pasted there by mistake.
        message = f"{message}, but got {part['input']!r}"
    return document.problem(path, message)


ProblemAt = Callable[[At, str], Problem]


def _cross_check(config: GatewayConfig, protocols: Mapping[str, Any], problem: ProblemAt) -> Iterable[Problem]:
    """Check references between parts of the file, and that the keys can be read."""
    if not config.providers:
        yield problem(("providers",), "is empty; at least one provider is required")
    for name, provider in config.providers.items():
        if provider.protocol not in protocols:
            known = ", ".join(sorted(protocols))
            yield problem(
                ("providers", name, "protocol"),
                f"{provider.protocol!r} is not a supported protocol; expected one of: {known}",
            )
        else:
            yield from _check_provider(name, provider, protocols[provider.protocol], problem)
    yield from _check_models(config, problem)


def _check_provider(name: str, provider: ProviderConfig, protocol: Any, problem: ProblemAt) -> Iterable[Problem]:
    at: At = ("providers", name)
    if provider.base_url is None and protocol.base_url is None and protocol.regional_url is None:
        yield problem(at, f"base_url is missing; protocol {provider.protocol} has no default")
    yield from _check_options(at, provider, protocol, problem)
    if provider.keys is None and not protocol.has_ambient_credentials:
        yield problem((*at, "keys"), "is missing")
    keys: list[str | None] = [None] if provider.keys is None and protocol.has_ambient_credentials else []
    for index, reference in enumerate(provider.keys or ()):
        try:
            keys.append(reference.read().get_secret_value())
        except ValueError as error:
            yield problem((*at, "keys", index), str(error))
    for index, key in enumerate(keys):
        found = protocol.find_problem(key or "", provider.options) if protocol.find_problem is not None else None
        if found is not None:
            yield problem(at if key is None else (*at, "keys", index), found)


def _check_options(at: At, provider: ProviderConfig, protocol: Any, problem: ProblemAt) -> Iterable[Problem]:
    for option, value in provider.options._asdict().items():
        if value is not None and option not in protocol.options:
            yield problem((*at, option), f"protocol {provider.protocol} does not have this option")
        elif value is None and option in protocol.required_options:
            yield problem((*at, option), f"is missing; protocol {provider.protocol} requires it")
    if (provider.tenant_id is None) != (provider.client_id is None):
        yield problem(at, "tenant_id and client_id require each other")


def _check_models(config: GatewayConfig, problem: ProblemAt) -> Iterable[Problem]:
    names = set(config.models)
    providers = ", ".join(sorted(config.providers))
    for name, model in config.models.items():
        for index, alias in enumerate(model.aliases):
            if alias in names:
                yield problem(("models", name, "aliases", index), f"{alias!r} is already a model's name or alias")
            names.add(alias)
        for index, target in enumerate(model.targets):
            if target.provider not in config.providers:
                at = ("models", name, "targets", index, "provider")
                yield problem(at, f"unknown provider {target.provider!r}; expected one of: {providers}")
