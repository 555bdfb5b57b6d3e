from typing import Self

import pytest
from pydantic import Field, SecretStr, model_validator

from tollgate_common.settings import ServiceSettings, load


class SomeSettings(ServiceSettings):
    token: SecretStr = Field(SecretStr("x" * 20), min_length=16, description="shared secret")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLGATE_KAFKA_BOOTSTRAP", "127.0.0.1:9092")
    monkeypatch.setenv("TOLLGATE_PORT", "8080")


def test_settings_come_from_the_environment() -> None:
    assert load(SomeSettings).port == 8080


def test_a_missing_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOLLGATE_PORT")
    with pytest.raises(SystemExit, match=r"^settings: TOLLGATE_PORT \(port to listen on\) is not set$"):
        load(SomeSettings)


def test_a_wrong_value_is_shown_with_what_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLGATE_PORT", "70000")
    with pytest.raises(SystemExit, match=r"TOLLGATE_PORT .* is wrong: '70000': .* less than or equal to 65535"):
        load(SomeSettings)


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLGATE_TOKEN", "too short")
    with pytest.raises(SystemExit) as stopped:
        load(SomeSettings)
    assert "too short" not in str(stopped.value)
    assert "TOLLGATE_TOKEN (shared secret) is wrong" in str(stopped.value)


def test_what_is_wrong_with_several_together_shows_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class TogetherSettings(SomeSettings):
        @model_validator(mode="after")
        def _check(self) -> Self:
            raise ValueError("the one needs the other")

    monkeypatch.setenv("TOLLGATE_TOKEN", "s" * 20)
    with pytest.raises(SystemExit, match="the one needs the other") as stopped:
        load(TogetherSettings)
    assert "ssss" not in str(stopped.value)
