"""HTTP: who asks, what for, and the answer."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request

from tollgate_analytics.handlers import list_requests, report_freshness, report_usage
from tollgate_analytics.queries import check_names, parse_cursor, parse_usage
from tollgate_analytics.schemas import Freshness, RequestPage, Usage
from tollgate_analytics.store import Store
from tollgate_common.access_tokens import Verifier
from tollgate_common.callers import Caller, customers
from tollgate_common.clock import utc_now
from tollgate_common.consumer import Consumer
from tollgate_common.http import create_app
from tollgate_common.keys import KeyDirectory

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "a parameter is wrong; `field` names it"},
    401: {"description": "no valid API key or access token"},
}


def build_app(store: Store, keys: KeyDirectory, consumer: Consumer, tokens: Verifier | None = None) -> FastAPI:
    app = create_app("Tollgate analytics", ready=lambda: keys.topic.waiting_for() or consumer.waiting_for())
    Customer = Annotated[Caller, Depends(customers(keys, tokens))]  # noqa: N806 - a type

    @app.get("/v1/usage", responses=ERRORS, response_model_exclude_unset=True)
    async def usage(
        *,
        request: Request,
        caller: Customer,
        start: Annotated[str | None, Query(description="RFC 3339; default 30 days before the end")] = None,
        end: Annotated[str | None, Query(description="RFC 3339, not included; default now")] = None,
        group_by: Annotated[list[str] | None, Query(description="`model`, `api_key`, or `model,api_key`")] = None,
        granularity: Annotated[str | None, Query(description="`hour` or `day` of UTC; default totals")] = None,
        model: Annotated[list[str] | None, Query(description="only this model; may be repeated")] = None,
        api_key: Annotated[list[str] | None, Query(description="only the key of this id; may be repeated")] = None,
    ) -> Usage:
        """What the caller's account has used and what it cost, by model and API key."""
        check_names(request.query_params, ("start", "end", "group_by", "granularity", "model", "api_key"))
        query = parse_usage(
            start=start,
            end=end,
            group_by=group_by or [],
            granularity=granularity,
            models=model or [],
            api_keys=api_key or [],
            now=utc_now(),
        )
        return await report_usage(store, keys, caller.account_id, query)

    @app.get("/v1/requests", responses=ERRORS, response_model_exclude_unset=True)
    async def requests(
        request: Request,
        caller: Customer,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
    ) -> RequestPage:
        """The requests of the caller's account that have ended, the newest first."""
        check_names(request.query_params, ("limit", "cursor"))
        return await list_requests(store, keys, caller.account_id, parse_cursor(cursor), limit)

    @app.get("/v1/freshness", responses=ERRORS)
    async def freshness(_caller: Customer) -> Freshness:
        """How far the reports are behind the events."""
        return await report_freshness(store, consumer.lag())

    return app
