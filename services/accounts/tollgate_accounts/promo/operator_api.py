"""Campaigns over HTTP, for operators."""

import csv
import io
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.operators import OfOperators, Operator
from tollgate_accounts.problems import bad_request, documented, invalid_input
from tollgate_accounts.promo import handlers, problems
from tollgate_accounts.promo.schemas import CampaignPage, CampaignRequest, CampaignView, CodesRequest
from tollgate_common.postgres.connection import Pool

PATH = "/v1/operator/campaigns"
PAGE = 100
MAX_PAGE = 1000
_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "a line for each code"}
}


def routes(pool: Pool, operators: OfOperators) -> APIRouter:
    router = APIRouter(prefix=PATH, tags=["operators"])
    Caller = Annotated[Operator, Depends(operators)]  # noqa: N806 - a type
    refusals = access_problems.OF_OPERATORS
    of_one = (*refusals, problems.campaign_not_found(), invalid_input("campaign_id"))

    @router.post(
        "",
        status_code=HTTPStatus.CREATED,
        responses=documented(
            PATH,
            *refusals,
            bad_request(),
            invalid_input("amount_nano"),
            problems.campaign_name_taken(),
            problems.promo_code_taken(),
        ),
    )
    async def create_campaign(caller: Caller, body: CampaignRequest) -> CampaignView:
        """A campaign; with `code`, one for everybody. Codes for one use each are generated afterwards."""
        return CampaignView.of(await handlers.create_campaign(pool, caller.actor, body.terms(), body.code))

    @router.get("", responses=documented(PATH, *refusals, invalid_input("limit")))
    async def list_campaigns(
        _caller: Caller,
        after: Annotated[UUID | None, Query(description="`next_after` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = PAGE,
    ) -> CampaignPage:
        """All campaigns, newest first."""
        found = await handlers.list_campaigns(pool, str(after) if after else None, limit)
        return CampaignPage(
            campaigns=[CampaignView.of(campaign) for campaign in found],
            next_after=found[-1].id if len(found) == limit else None,
        )

    @router.get("/{campaign_id}", responses=documented(PATH, *of_one))
    async def get_campaign(_caller: Caller, campaign_id: UUID) -> CampaignView:
        return CampaignView.of(await handlers.find_campaign(pool, str(campaign_id)))

    @router.post("/{campaign_id}/stop", responses=documented(PATH, *of_one))
    async def stop_campaign(caller: Caller, campaign_id: UUID) -> CampaignView:
        """End it now; credit that it gave stays."""
        return CampaignView.of(await handlers.stop_campaign(pool, caller.actor, str(campaign_id)))

    @router.post(
        "/{campaign_id}/codes",
        status_code=HTTPStatus.CREATED,
        response_class=Response,
        responses=documented(PATH, *of_one, bad_request(), problems.campaign_stopped()) | {201: _CSV[200]},
    )
    async def generate_codes(caller: Caller, campaign_id: UUID, body: CodesRequest) -> Response:
        """New codes for one use each, as a CSV file."""
        codes = await handlers.generate_codes(pool, caller.actor, str(campaign_id), body.count)
        return _csv_file([["code"], *([code] for code in codes)], HTTPStatus.CREATED)

    @router.get("/{campaign_id}/codes", response_class=Response, responses=documented(PATH, *of_one) | _CSV)
    async def list_codes(_caller: Caller, campaign_id: UUID) -> Response:
        """Every code of the campaign with how often it was redeemed, as a CSV file."""
        codes = await handlers.list_codes(pool, str(campaign_id))
        return _csv_file([["code", "redemptions"], *([code.code, str(code.redemptions)] for code in codes)])

    return router


def _csv_file(lines: list[list[str]], status: int = HTTPStatus.OK) -> Response:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(lines)
    # Codes are worth money: no cache keeps them.
    headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="codes.csv"'}
    return Response(file.getvalue(), status, headers, "text/csv; charset=utf-8")
