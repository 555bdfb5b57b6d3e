"""Whatever `make up` has a price for, the simulated provider answers for."""

from datetime import UTC, datetime

import pytest

from tollgate_billing.catalog import free_models, genai_prices
from tollgate_local.provider.errors import ApiError
from tollgate_local.provider.models import find_known_model, owned_model

OWNERS = {"openai": "system", "anthropic": "anthropic", "google": "google"}
NOW = datetime(2026, 11, 26, tzinfo=UTC)


def test_every_model_with_a_price_is_known() -> None:
    offers = [*genai_prices.read_offers(list(OWNERS), NOW).offers, *free_models.free_offers(list(OWNERS), NOW)]
    owners = {offer.model: model.owner for offer in offers if (model := find_known_model(offer.model)) is not None}
    assert owners == {offer.model: OWNERS[offer.provider] for offer in offers}


@pytest.mark.parametrize(
    ("name", "serves"),
    [
        ("gpt-4o-mini-transcribe", "transcriptions"),
        ("tts-1-hd", "speech"),
        ("gpt-image-1-mini", "generations"),
        ("davinci-002", "completions"),
        ("gpt-4.1-2025-04-14", "chat"),
        ("text-embedding-3-large", "embeddings"),
    ],
)
def test_a_family_tells_the_endpoint(name: str, serves: str) -> None:
    model = find_known_model(name)
    assert model is not None
    assert (model.serves, model.embeds) == (serves, serves == "embeddings")


@pytest.mark.parametrize("name", ["gpt-none", "gpt", "", "my-claude-3", "CLAUDE-3"])
def test_what_is_of_no_family_is_unknown(name: str) -> None:
    assert find_known_model(name) is None


def test_a_model_answers_in_its_owners_protocol_alone() -> None:
    assert owned_model("anthropic", "claude-sonnet-4-5").context_tokens > 0
    with pytest.raises(ApiError):
        owned_model("google", "claude-sonnet-4-5")
