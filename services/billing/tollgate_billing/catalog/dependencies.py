"""What the catalog's routes depend on: set in the application's state by `catalog.api.add_routes`."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Request

from tollgate_common.postgres.connection import Pool


def catalog_pool(request: Request) -> Pool:
    pool: Pool = request.app.state.catalog_pool
    return pool


def import_provider_ids(request: Request) -> Sequence[str]:
    provider_ids: Sequence[str] = request.app.state.import_provider_ids
    return provider_ids


CatalogPool = Annotated[Pool, Depends(catalog_pool)]
ImportProviderIds = Annotated[Sequence[str], Depends(import_provider_ids)]
