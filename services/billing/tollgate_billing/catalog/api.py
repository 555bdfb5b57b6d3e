"""The price list, for everyone. Routes that change the catalog are in `operator_api`."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query
from pydantic import SecretStr

from tollgate_billing.catalog import handlers, operator_api, schemas
from tollgate_billing.catalog.dependencies import CatalogPool
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.callers import operators
from tollgate_common.http import problems
from tollgate_common.postgres.connection import Pool


def add_routes(
    app: FastAPI, pool: Pool, operator_token: SecretStr | None, tokens: Verifier | None, provider_ids: Sequence[str]
) -> None:
    """Add the routes of everyone and those of operators.

    Args:
        app: gets the routes and, in its state, what they depend on.
        pool: connections to the catalog's database.
        operator_token: the secret of operators.
        tokens: verifies operators' access tokens.
        provider_ids: the providers whose prices an import reads by default.
    """
    app.state.catalog_pool = pool
    app.state.import_provider_ids = provider_ids
    app.include_router(operator_api.router, dependencies=[Depends(operators(operator_token, tokens))])
    app.include_router(router)


router = APIRouter()


@router.get("/v1/prices", responses=problems(404, 503))
async def list_prices(
    pool: CatalogPool,
    model: Annotated[str | None, Query(max_length=200, description="only this model")] = None,
) -> schemas.PriceList:
    """List the prices of every model, or of one: past, current and scheduled."""
    found = await handlers.list_prices(pool, model)
    return schemas.PriceList(data=[schemas.priced_model(stored) for stored in found])
