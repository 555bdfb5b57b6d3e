"""The operators' API of campaigns."""

import csv
import io
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import Response

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.dependencies import PoolDep
from tollgate_accounts.access.operators import OperatorCaller
from tollgate_accounts.problems import bad_request, documented, invalid_input
from tollgate_accounts.promo import handlers, problems
from tollgate_accounts.promo.schemas import CampaignPage, CampaignRequest, CampaignView, CodesRequest

PATH = "/v1/operator/campaigns"
PAGE = 100
MAX_PAGE = 1000
_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "one line per code"}
}

CAMPAIGN_PROBLEMS = (
    *access_problems.OPERATOR_PROBLEMS,
    problems.campaign_not_found(),
    invalid_input("campaign_id"),
)

router = APIRouter(prefix=PATH, tags=["operators"])


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    responses=documented(
        PATH,
        *access_problems.OPERATOR_PROBLEMS,
        bad_request(),
        invalid_input("amount_nano"),
        problems.campaign_exists(),
        problems.promo_code_exists(),
    ),
)
async def create_campaign(pool: PoolDep, caller: OperatorCaller, body: CampaignRequest) -> CampaignView:
    """Creates a campaign, with one code for everybody if `code` is given. Generate single-use codes separately."""
    return CampaignView.of(await handlers.create_campaign(pool, caller.actor, body.terms(), body.code))


@router.get("", responses=documented(PATH, *access_problems.OPERATOR_PROBLEMS, invalid_input("limit")))
async def list_campaigns(
    pool: PoolDep,
    _caller: OperatorCaller,
    after: Annotated[UUID | None, Query(description="`next_after` of the previous page")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = PAGE,
) -> CampaignPage:
    """Lists all campaigns, newest first."""
    found = await handlers.list_campaigns(pool, str(after) if after else None, limit)
    return CampaignPage(
        campaigns=[CampaignView.of(campaign) for campaign in found],
        next_after=found[-1].id if len(found) == limit else None,
    )


@router.get("/{campaign_id}", responses=documented(PATH, *CAMPAIGN_PROBLEMS))
async def get_campaign(pool: PoolDep, _caller: OperatorCaller, campaign_id: UUID) -> CampaignView:
    return CampaignView.of(await handlers.find_campaign(pool, str(campaign_id)))


@router.post("/{campaign_id}/stop", responses=documented(PATH, *CAMPAIGN_PROBLEMS))
async def stop_campaign(pool: PoolDep, caller: OperatorCaller, campaign_id: UUID) -> CampaignView:
    """Stops the campaign now. Credit that it has granted remains."""
    return CampaignView.of(await handlers.stop_campaign(pool, caller.actor, str(campaign_id)))


@router.post(
    "/{campaign_id}/codes",
    status_code=HTTPStatus.CREATED,
    response_class=Response,
    responses=documented(PATH, *CAMPAIGN_PROBLEMS, bad_request(), problems.campaign_stopped()) | {201: _CSV[200]},
)
async def generate_codes(pool: PoolDep, caller: OperatorCaller, campaign_id: UUID, body: CodesRequest) -> Response:
    """Generates single-use codes and returns them as a CSV file."""
    codes = await handlers.generate_codes(pool, caller.actor, str(campaign_id), body.count)
    return _csv_file([["code"], *([code] for code in codes)], HTTPStatus.CREATED)


@router.get("/{campaign_id}/codes", response_class=Response, responses=documented(PATH, *CAMPAIGN_PROBLEMS) | _CSV)
async def list_codes(pool: PoolDep, _caller: OperatorCaller, campaign_id: UUID) -> Response:
    """Returns every code of the campaign with the number of its redemptions, as a CSV file."""
    codes = await handlers.list_codes(pool, str(campaign_id))
    return _csv_file([["code", "redemptions"], *([code.code, str(code.redemptions)] for code in codes)])


def _csv_file(lines: list[list[str]], status: int = HTTPStatus.OK) -> Response:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(lines)
    # Codes are worth money, so no cache may store them.
    headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="codes.csv"'}
    return Response(file.getvalue(), status, headers, "text/csv; charset=utf-8")
