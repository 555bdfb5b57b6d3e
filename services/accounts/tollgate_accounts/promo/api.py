"""Promo codes over HTTP."""

from http import HTTPStatus

from fastapi import APIRouter

from tollgate_accounts.access import limits
from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.dependencies import PoolDep, RulesDep
from tollgate_accounts.access.permissions import BillingMember
from tollgate_accounts.problems import bad_request, documented, invalid_input
from tollgate_accounts.promo import handlers, problems
from tollgate_accounts.promo.schemas import GrantView, Redemption
from tollgate_common.money import decimal_from_nano

router = APIRouter(prefix="/v1/promo-codes", tags=["promo codes"])


@router.post(
    "/redemptions",
    status_code=HTTPStatus.CREATED,
    responses=documented(
        "/v1/promo-codes/redemptions",
        *access_problems.MEMBER_PROBLEMS,
        bad_request(),
        invalid_input("code"),
        *problems.redemption_problems("code"),
        access_problems.too_many_attempts(600),
    ),
)
async def redeem(pool: PoolDep, rules: RulesDep, caller: BillingMember, body: Redemption) -> GrantView:
    tries = [(rules.limits.promo_code_person, caller.person_id)]
    await limits.count_attempt(pool, rules, tries, (rules.limits.promo_code_address, caller.actor.address))
    grant = await handlers.redeem(pool, caller.actor, caller.account_id, body.code)
    return GrantView(
        grant_id=grant.grant_id,
        amount_nano=grant.amount_nano,
        amount=decimal_from_nano(grant.amount_nano),
        expires_at=grant.expires_at,
    )
