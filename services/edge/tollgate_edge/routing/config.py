"""`gateway.yaml`: which providers there are, and which of them answers for a model. docs/routing.md explains it.

What can be told from the file alone is checked when it is read, with the line and the name of what is wrong; so are the
environment variables and files that hold the providers' keys.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError, model_validator

from tollgate_edge.routing.document import Document, InvalidDocument, Problem
from tollgate_edge.routing.document import Path as At

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")]


class ConfigModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KeyReference(ConfigModel):
    """Where a provider's key is kept: never in this file."""

    env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("either env or file says where the key is")
        return self

    def read(self) -> SecretStr:
        """The key.

        Raises:
            ValueError: it is not there.
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


class ProviderConfig(ConfigModel):
    protocol: str
    base_url: Url | None = None
    keys: Annotated[tuple[KeyReference, ...], Field(min_length=1)]
    timeouts: TimeoutConfig = TimeoutConfig()


class TargetConfig(ConfigModel):
    provider: Name
    model: Name | None = None
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    priority: Annotated[int, Field(ge=0, le=1000)] = 0


class ModelConfig(ConfigModel):
    aliases: tuple[Name, ...] = ()
    targets: Annotated[tuple[TargetConfig, ...], Field(min_length=1)]


class RetryConfig(ConfigModel):
    """`attempts` counts the first one too. Between two attempts at one target it waits, longer each time."""

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
    """Read and check a file's text.

    Args:
        text: YAML.
        protocols: those that this edge speaks, by name.

    Raises:
        InvalidDocument: with everything that is wrong.
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
    # A wrong member name is told at that member, which pydantic calls [key].
    path = tuple(step for step in location if step != "[key]")
    message = str(part["msg"]).removeprefix("Value error, ")
    if part["type"] == "extra_forbidden":
        message = "there is no such field"
    elif part["type"] == "missing":
        message = "is missing"
    elif "keys" not in path and not isinstance(part.get("input"), dict | list | None):
        # Of a key, not even what stands there by mistake is shown.
        message = f"{message}, but it is {part['input']!r}"
    return document.problem(path, message)


ProblemAt = Callable[[At, str], Problem]


def _cross_check(config: GatewayConfig, protocols: Mapping[str, Any], problem: ProblemAt) -> Iterable[Problem]:
    """What one part says of another, and whether the keys are there."""
    if not config.providers:
        yield problem(("providers",), "names no provider, so that nothing could be served")
    for name, provider in config.providers.items():
        if provider.protocol not in protocols:
            known = ", ".join(sorted(protocols))
            yield problem(("providers", name, "protocol"), f"{provider.protocol!r} is none of: {known}")
        elif provider.base_url is None and protocols[provider.protocol].base_url is None:
            yield problem(("providers", name), f"needs a base_url: {provider.protocol} is spoken in many places")
        for index, reference in enumerate(provider.keys):
            try:
                reference.read()
            except ValueError as error:
                yield problem(("providers", name, "keys", index), str(error))
    yield from _check_models(config, problem)


def _check_models(config: GatewayConfig, problem: ProblemAt) -> Iterable[Problem]:
    names = set(config.models)
    providers = ", ".join(sorted(config.providers))
    for name, model in config.models.items():
        for index, alias in enumerate(model.aliases):
            if alias in names:
                yield problem(("models", name, "aliases", index), f"{alias!r} is another model's name or alias")
            names.add(alias)
        for index, target in enumerate(model.targets):
            if target.provider not in config.providers:
                at = ("models", name, "targets", index, "provider")
                yield problem(at, f"there is no provider {target.provider!r}; there are: {providers}")
