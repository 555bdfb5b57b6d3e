"""The HTTP application: health, prices for everyone, charges for an account's keys, the catalog for operators."""

from collections.abc import Callable, Sequence

import psycopg
from clickhouse_connect.driver.exceptions import ClickHouseError
from fastapi import FastAPI
from pydantic import SecretStr

from tollgate_billing.catalog import api as catalog_api
from tollgate_billing.charges import api as charges_api
from tollgate_billing.charges.store import Charges
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.http import create_app, expect_stores_away
from tollgate_common.postgres.connection import Pool


def build_app(
    pool: Pool,
    charges: Charges,
    keys: KeyDirectory,
    operator_token: SecretStr | None,
    waiting_for: Callable[[], str | None],
    *,
    tokens: Verifier | None = None,
    provider_ids: Sequence[str] = ("openai",),
) -> FastAPI:
    """Build the application.

    Args:
        pool: connections to the catalog's database.
        charges: the table of charges.
        keys: the API keys that are valid now.
        operator_token: the secret of operators, who may change the catalog.
        waiting_for: returns None when the service can work, otherwise what it waits for.
        tokens: verifies access tokens; without it only API keys and the operators' secret are accepted.
        provider_ids: the providers whose prices an import reads by default.
    """
    app = create_app("Tollgate billing", ready=waiting_for)
    expect_stores_away(app, psycopg.OperationalError, ClickHouseError, OSError)
    catalog_api.add_routes(app, pool, operator_token, tokens, provider_ids)
    charges_api.add_routes(app, charges, keys, tokens)
    return app
