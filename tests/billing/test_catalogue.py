"""The catalog: filled once, added to and never edited, published as it stands."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.errors import CheckViolation, RestrictViolation
from psycopg.sql import SQL, Identifier

from billing.conftest import Billing
from tollgate_billing.catalog import free_models, genai_prices, handlers, store
from tollgate_billing.catalog.handlers import PUBLISHED_FOR, PriceCommand, imports
from tollgate_billing.catalog.model_metadata import ModelMetadata, metadata_of
from tollgate_common.clock import utc_now
from tollgate_common.events import CatalogueRecord, ModelRecord, PlanRecord, decode_catalogue
from tollgate_common.postgres.connection import Pool
from tollgate_common.rating import BASIS_POINTS, Prices

pytestmark = pytest.mark.engines

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)


def offer(model: str, *versions: tuple[datetime, Prices], provider: str = "openai") -> genai_prices.Offer:
    return genai_prices.Offer(model, provider, 1_000, versions)


def offered(monkeypatch: pytest.MonkeyPatch, *offers: genai_prices.Offer) -> None:
    """The prices of a package of tomorrow."""
    monkeypatch.setattr(genai_prices, "read_offers", lambda _providers, _now: genai_prices.Offers(list(offers), {}))


def setting(model: str, valid_from: datetime | None, price: int) -> PriceCommand:
    return PriceCommand(model, "openai", valid_from, {"input": price, "output": price}, None, False, False)


async def versions_of(pool: Pool, model: str) -> list[tuple[str, datetime, int]]:
    async with pool.connection() as connection:
        found = (await store.models(connection, model))[model]
    return [(version.price_version, version.valid_from, version.prices.input) for version in found.versions]


async def outbox_records(pool: Pool) -> dict[str, list[tuple[int, CatalogueRecord]]]:
    """What is waiting to be published, by key."""
    async with pool.connection() as connection:
        rows = await (await connection.execute("SELECT key, version, payload FROM outbox ORDER BY id")).fetchall()
    found: dict[str, list[tuple[int, CatalogueRecord]]] = {}
    for row in rows:
        found.setdefault(row["key"], []).append((row["version"], decode_catalogue(row["payload"])))
    return found


async def test_an_empty_catalogue_is_filled_once(pool: Pool) -> None:
    first, second = await asyncio.gather(*(handlers.seed(pool, ["openai"], NOW) for _ in range(2)))
    seeded = first or second
    assert seeded is not None
    assert (first is None) != (second is None)
    assert {price.model for price in seeded.added} >= {"gpt-4o", "gpt-4o-mini", "gpt-5", "text-embedding-3-large"}
    again = await handlers.import_prices(pool, ["openai"], NOW + timedelta(days=2))
    assert (again.added, again.kept) == ([], [])
    assert len(again.unchanged) == len(seeded.added)
    records = await outbox_records(pool)
    assert {len(versions) for versions in records.values()} == {1}
    assert len(records) == len(seeded.added) + 1


async def test_the_first_record_holds_what_was_imported(pool: Pool) -> None:
    await handlers.seed(pool, ["openai"], NOW)
    records = await outbox_records(pool)
    ((version, model),) = records["model:gpt-4o-mini"]
    assert isinstance(model, ModelRecord)
    assert (version, model.model, model.provider, model.context_tokens) == (1, "gpt-4o-mini", "openai", 128_000)
    (price,) = model.versions
    assert (price.price_version, price.valid_from) == ("gpt-4o-mini@2026-11-23.1", MIDNIGHT)
    assert price.prices == price.cost == Prices(input=150_000_000, cached_input=75_000_000, output=600_000_000)
    ((_, tiered),) = records["model:gpt-5.4"]
    assert isinstance(tiered, ModelRecord)
    assert [tier.above_tokens for tier in tiered.versions[0].prices.tiers] == [272_000]
    ((version, plan),) = records["plan:standard"]
    assert isinstance(plan, PlanRecord)
    (standard,) = plan.versions
    assert (version, standard.plan_version, standard.multiplier_bps) == (1, "standard@1", BASIS_POINTS)
    assert standard.valid_from == MIDNIGHT


async def test_an_import_tells_what_is_published_of_a_model_where_nothing_is_known(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = NOW, Prices(input=1, output=2)
    names = ("gpt-5", "gpt-4o", "gpt-4.1", "of-nobody")
    with monkeypatch.context() as before:
        before.setattr(imports, "metadata_of", lambda _provider, _model: None)
        offered(before, *(offer(name, prices) for name in names))
        await handlers.import_prices(pool, [], NOW)
        await handlers.describe_model(pool, "gpt-4.1", {"max_output_tokens": 7}, NOW)
    offered(monkeypatch, *(offer(name, prices) for name in (*names, "o3")))
    for _ in range(2):
        assert (await handlers.import_prices(pool, [], NOW + timedelta(days=1))).unchanged[:4] == list(names)
    records = await outbox_records(pool)
    known = {}
    for name in (*names, "o3"):
        version, record = records[f"model:{name}"][-1]
        assert isinstance(record, ModelRecord)
        known[name] = version, record.max_output_tokens, record.capabilities
    assert known == {
        "gpt-5": (2, 128_000, ("reasoning",)),
        "gpt-4o": (2, 16_384, ()),
        # What an operator has said stays.
        "gpt-4.1": (2, 7, ()),
        "of-nobody": (1, None, ()),
        "o3": (1, 100_000, ("reasoning",)),
    }


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("openai", "gpt-5.1-codex-mini", ModelMetadata(128_000, ("reasoning",))),
        ("openai", "gpt-5-pro-2025-10-06", ModelMetadata(272_000, ("reasoning",))),
        ("openai", "gpt-6-of-tomorrow", ModelMetadata(None, ("reasoning",))),
        ("openai", "gpt-5-image", None),
        ("openai", "gpt-4o-mini-2024-07-18", ModelMetadata(16_384)),
        ("openai", "gpt-4o-audio-preview", None),
        ("google", "gemini-2.5-flash-preview-09-2025", ModelMetadata(65_536, ("reasoning",))),
        ("google", "gemini-flash-latest", ModelMetadata(None, ("reasoning",))),
        ("google", "gemini-2.5-flash-preview-tts", None),
        ("google", "claude-opus-4-5", ModelMetadata(64_000, ("reasoning",))),
        ("anthropic", "claude-haiku-5-5", ModelMetadata(128_000, ("reasoning",))),
        ("anthropic", "claude-3-5-haiku-latest", None),
        ("x-ai", "grok-4-fast-reasoning", ModelMetadata(None, ("reasoning",))),
        ("x-ai", "grok-4-fast-non-reasoning", None),
        ("nobody", "gpt-5", None),
    ],
)
def test_a_family_is_told_by_its_names(provider: str, model: str, expected: ModelMetadata | None) -> None:
    assert metadata_of(provider, model) == expected


async def test_a_moderation_is_free_and_so_has_a_price(pool: Pool) -> None:
    """OpenAI's SDK asks for this model where the caller names none; without a price the edge would refuse it."""
    seeded = await handlers.seed(pool, ["anthropic", "openai"], NOW)
    assert seeded is not None
    (moderation,) = (price for price in seeded.added if price.model == "omni-moderation-latest")
    assert (moderation.prices, moderation.source) == (Prices(input=0, output=0), free_models.SOURCE)
    assert (await handlers.import_prices(pool, ["anthropic"], NOW)).added == []


async def test_an_import_adds_what_has_changed_and_nothing_else(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    cheap, dear = Prices(input=1, output=2), Prices(input=3, output=4)
    coming = (NOW + timedelta(days=10), dear)
    offered(monkeypatch, offer("a", (NOW, cheap)), offer("b", (NOW, cheap), coming), offer("c", (NOW, cheap)))
    await handlers.import_prices(pool, [], NOW)
    await handlers.add_price(pool, setting("c", None, 7), NOW + timedelta(hours=1))

    later = NOW + timedelta(days=1)
    offered(monkeypatch, offer("a", (later, dear)), offer("b", (later, cheap), coming), offer("c", (later, dear)))
    done = await handlers.import_prices(pool, [], later)
    assert [price.price_version for price in done.added] == ["a@2026-11-24.1"]
    assert (done.unchanged, done.kept) == (["b"], ["c"])
    assert await versions_of(pool, "a") == [("a@2026-11-23.1", MIDNIGHT, 1), ("a@2026-11-24.1", later, 3)]
    assert await versions_of(pool, "b") == [("b@2026-11-23.1", MIDNIGHT, 1), ("b@2026-12-03.1", coming[0], 3)]

    # What was announced has come: nothing to add.
    much_later = NOW + timedelta(days=11)
    offered(monkeypatch, offer("a", (much_later, dear)), offer("b", (much_later, dear)))
    assert (await handlers.import_prices(pool, [], much_later)).added == []
    # And back again is a third version, not the first.
    offered(monkeypatch, offer("a", (much_later, cheap)), offer("b", (much_later, dear)))
    (back,) = (await handlers.import_prices(pool, [], much_later)).added
    assert (back.price_version, back.source) == ("a@2026-12-04.1", genai_prices.SOURCE)


async def test_versions_of_one_day_are_numbered(pool: Pool) -> None:
    await handlers.seed(pool, ["openai"], NOW)
    moments = [NOW + timedelta(minutes=minute) for minute in range(5)]
    added = await asyncio.gather(*(handlers.add_price(pool, setting("gpt-4o", moment, 10), NOW) for moment in moments))
    assert sorted(price.price_version for price in added) == [f"gpt-4o@2026-11-23.{number}" for number in range(2, 7)]
    # The records carry the versions in the order in which they were given: an older one never comes after a newer.
    records = (await outbox_records(pool))["model:gpt-4o"]
    assert [version for version, _ in records] == [1, 2, 3, 4, 5, 6]
    assert [len(record.versions) for _, record in records] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("table", ["price_versions", "plan_versions"])
async def test_versions_cannot_be_edited(postgres_dsn: str, pool: Pool, table: str) -> None:
    await handlers.seed(pool, ["openai"], NOW)
    async with await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True) as connection:
        for statement in ("UPDATE {} SET recorded_at = now()", "DELETE FROM {}", "TRUNCATE {}"):
            with pytest.raises(RestrictViolation, match=f"{table} is append-only"):
                await connection.execute(statement.format(table).encode())


async def test_the_database_itself_refuses_a_negative_price(postgres_dsn: str, pool: Pool) -> None:
    await handlers.seed(pool, ["openai"], NOW)
    async with await psycopg.AsyncConnection.connect(postgres_dsn) as connection:
        with pytest.raises(CheckViolation):
            await connection.execute(
                "INSERT INTO price_versions (price_version, model, valid_from, source, input, output) "
                "VALUES ('x', 'gpt-4o', now(), 'test', -1, 0)"
            )
    for column, value in (("cost", '{"input": -1}'), ("tiers", '[{"above_tokens": 5, "prices": {"output": -1}}]')):
        async with await psycopg.AsyncConnection.connect(postgres_dsn) as connection:
            with pytest.raises(CheckViolation):
                await connection.execute(
                    SQL(
                        "INSERT INTO price_versions (price_version, model, valid_from, source, input, output, {}) "
                        "VALUES ('x', 'gpt-4o', now(), 'test', 1, 0, %s)"
                    ).format(Identifier(column)),
                    (value,),
                )


async def test_records_carry_versions_for_forty_days_after_they_end(pool: Pool) -> None:
    await handlers.seed(pool, ["openai"], NOW)
    # Each supersedes the one before: the seeded one ends at the first of these.
    for days in (1, 2, 60):
        await handlers.add_price(pool, setting("gpt-4o", NOW + timedelta(days=days), days), NOW)
    after = NOW + timedelta(days=2) + PUBLISHED_FOR
    await handlers.add_price(pool, setting("gpt-4o", after, 99), after)
    _, record = (await outbox_records(pool))["model:gpt-4o"][-1]
    assert [version.valid_from for version in record.versions] == [
        NOW + timedelta(days=2),
        after,
        NOW + timedelta(days=60),
    ]


async def test_the_topic_tells_what_the_catalogue_holds(billing: Billing) -> None:
    async def is_all_there() -> bool:
        async with billing.pool.connection() as connection:
            return len(billing.catalog) == len(await store.providers_by_model(connection)) + 1

    await billing.until(is_all_there)
    async with billing.pool.connection() as connection:
        stored = await store.models(connection)
    for name, model in stored.items():
        record = await billing.model(name)
        assert (record.model, record.provider, record.context_tokens) == (name, model.provider, model.context_tokens)
        assert [(version.price_version, version.valid_from, version.prices) for version in record.versions] == [
            (version.price_version, version.valid_from, version.prices) for version in model.versions
        ]

    scheduled = utc_now() + timedelta(days=3)
    added = await handlers.add_price(billing.pool, setting("gpt-4o", scheduled, 5), utc_now())

    async def is_published() -> bool:
        return [version.price_version for version in (await billing.model("gpt-4o")).versions][1:] == [
            added.price_version
        ]

    await billing.until(is_published)
