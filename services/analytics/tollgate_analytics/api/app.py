"""HTTP: who asks, what for, and the answer."""

from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field

from tollgate_analytics.api import live as live_api
from tollgate_analytics.api import openai as openai_api
from tollgate_analytics.api.callers import scopes
from tollgate_analytics.api.exports import FileFormat, download
from tollgate_analytics.api.validation import only, render_wrong
from tollgate_analytics.live.tail import LiveTail
from tollgate_analytics.query.cursors import (
    GroupCursor,
    mark_of_list,
    mark_of_usage,
    parse_group_cursor,
    parse_request_cursor,
    text_of,
)
from tollgate_analytics.query.dimensions import Dimension
from tollgate_analytics.query.generation import describe
from tollgate_analytics.query.parameters import (
    DEFAULT_GROUPS,
    MAX_GROUPS,
    MAX_TOP,
    check_names,
    parse_filters,
    parse_granularity,
    parse_group_by,
    parse_range,
    parse_time_zone,
)
from tollgate_analytics.query.price_book import PriceBook
from tollgate_analytics.query.reports import UsageReporter, list_requests, report_freshness
from tollgate_analytics.query.schemas import Freshness, Generation, RequestPage, Usage
from tollgate_analytics.query.scopes import Scope
from tollgate_analytics.query.store import Store
from tollgate_analytics.query.usage_query import EVER, UsageQuery
from tollgate_common.auth.access_tokens import Verifier
from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.clock import utc_now
from tollgate_common.http import create_app
from tollgate_common.kafka.consumer import Consumer

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "a parameter is wrong; `field` names it"},
    401: {"description": "no valid API key or access token"},
    429: {"description": "as many of the account's questions as may are being answered"},
}


Values = Annotated[list[str], Field(description="only these; may be repeated")]


class FilterParameters(BaseModel):
    """One for each dimension."""

    model: Values = []
    api_key: Values = []
    project: Values = []
    served_model: Values = []
    provider: Values = []
    endpoint: Values = []
    stream: Values = []
    client: Values = []
    status_class: Values = []
    status: Values = []
    outcome: Values = []
    error_code: Values = []
    finish_reason: Values = []
    end_user: Values = []

    def given(self) -> dict[Dimension, list[str]]:
        return {dimension: getattr(self, dimension) for dimension in Dimension}


class RangeParameters(FilterParameters):
    start: str | None = Field(None, description="RFC 3339; default 30 days before the end")
    end: str | None = Field(None, description="RFC 3339, not included; default now")


class UsageParameters(RangeParameters):
    group_by: list[str] = Field([], description=f"{', '.join(Dimension)}, or `none`; default `model,api_key`")
    granularity: str | None = Field(None, description="`minute`, `hour`, `day`, `week` or `month`; default totals")
    time_zone: str = Field("UTC", description="IANA name of the zone whose days and hours are meant")
    top: int = Field(0, ge=0, le=MAX_TOP, description="add up the groups beyond these many, by cost; 0 keeps all")
    compare: Literal["previous"] | None = Field(None, description="`previous`: the range before beside it")
    percentiles: bool = Field(False, description="of the latencies too; these are read from the single requests")
    limit: int = Field(DEFAULT_GROUPS, ge=1, le=MAX_GROUPS)
    cursor: str | None = Field(None, description="`next_cursor` of the page before")


class RequestParameters(RangeParameters):
    start: str | None = Field(None, description="RFC 3339; default the first request")
    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, description="`next_cursor` of the page before")


class ExportParameters(RangeParameters):
    format: FileFormat = FileFormat.CSV


def build_app(
    store: Store,
    keys: KeyDirectory,
    prices: PriceBook,
    consumer: Consumer,
    tail: LiveTail,
    *,
    tokens: Verifier | None = None,
) -> FastAPI:
    def waiting_for() -> str | None:
        parts = (keys.topic, prices.topic, consumer, tail)
        return next(filter(None, (part.waiting_for() for part in parts)), None)

    app = create_app("Tollgate analytics", ready=waiting_for)
    app.add_exception_handler(RequestValidationError, render_wrong)
    scope_of = scopes(keys, tokens)
    Whose = Annotated[Scope, Depends(scope_of)]  # noqa: N806 - a type

    @app.get("/v1/usage", responses=ERRORS, response_model_exclude_unset=True)
    async def usage(request: Request, scope: Whose, asked: Annotated[UsageParameters, Query()]) -> Usage:
        """What the caller's account has used and what it cost, by time and any dimensions."""
        check_names(request.query_params, UsageParameters.model_fields)
        query, cursor = read_usage(asked, scope)
        return await UsageReporter(store, keys, scope).report(
            query,
            limit=asked.limit,
            cursor=cursor,
            percentiles=asked.percentiles,
            with_previous=asked.compare is not None,
        )

    @app.get("/v1/requests", responses=ERRORS, response_model_exclude_unset=True)
    async def requests(request: Request, scope: Whose, asked: Annotated[RequestParameters, Query()]) -> RequestPage:
        """The requests of the caller's account that have ended, the newest first."""
        check_names(request.query_params, RequestParameters.model_fields)
        filters = parse_filters(asked.given())
        mark = mark_of_list(scope, filters, asked.start, asked.end)
        over = parse_range(asked.start or EVER.start.isoformat(), asked.end or EVER.end.isoformat(), utc_now())
        before = parse_request_cursor(asked.cursor, mark)
        page, more = await list_requests(
            store, keys, scope, over=over, filters=filters, before=before, limit=asked.limit
        )
        return page.model_copy(update={"next_cursor": text_of(more, mark) if more else None})

    @app.get("/v1/generation", responses=ERRORS)
    async def generation(request: Request, scope: Whose, id: str) -> Generation:  # noqa: A002 - the parameter's name
        """One request: its tokens, what was charged for, and every attempt that was made for it."""
        check_names(request.query_params, ("id",))
        return await describe(store, keys, prices, scope, id)

    @app.get("/v1/requests/export", responses=ERRORS)
    async def export(request: Request, scope: Whose, asked: Annotated[ExportParameters, Query()]) -> Response:
        """Every request of a range as a file, streamed."""
        check_names(request.query_params, ExportParameters.model_fields)
        over = parse_range(asked.start, asked.end, utc_now())
        return await download(store, scope, over, parse_filters(asked.given()), asked.format)

    @app.get("/v1/freshness", responses=ERRORS, dependencies=[only()])
    async def freshness(_scope: Whose) -> Freshness:
        """How far the reports are behind the events."""
        return await report_freshness(store, consumer.lag())

    openai_api.add_routes(app, store, scope_of)
    live_api.add_routes(app, tail, scope_of)
    return app


def read_usage(asked: UsageParameters, scope: Scope) -> tuple[UsageQuery, GroupCursor | None]:
    """What is asked for, and which page of it, unless it is the first."""
    over = parse_range(asked.start, asked.end, utc_now())
    query = UsageQuery(
        range=over,
        group_by=parse_group_by(asked.group_by),
        granularity=parse_granularity(asked.granularity, over),
        filters=parse_filters(asked.given()),
        time_zone=parse_time_zone(asked.time_zone),
        top=asked.top,
    )
    if asked.cursor is None:
        return query, None
    cursor = parse_group_cursor(asked.cursor, mark_of_usage(scope, query))
    return query._replace(range=cursor.range), cursor
