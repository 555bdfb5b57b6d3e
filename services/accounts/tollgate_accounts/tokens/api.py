"""Access tokens over HTTP: for members, operators and services, and the keys that verify them."""

from datetime import timedelta

from fastapi import APIRouter, Depends, Response

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.operators import OperatorCaller, ServicesOnly
from tollgate_accounts.access.permissions import AnyMember, Public
from tollgate_accounts.problems import bad_request, documented, invalid_input
from tollgate_accounts.schemas import forbid_caching
from tollgate_accounts.tokens import problems
from tollgate_accounts.tokens.dependencies import IssuerDep
from tollgate_accounts.tokens.handlers import PERSON_TOKEN_LIFETIME, SERVICE_TOKEN_LIFETIME
from tollgate_accounts.tokens.schemas import Jwk, JwkSet, ServiceTokenRequest, TokenView
from tollgate_common.auth.access_tokens import JWKS_PATH, AccessToken, jwk_set
from tollgate_common.auth.service_auth import TOKENS_PATH

router = APIRouter(tags=["access tokens"])


@router.get(JWKS_PATH, dependencies=[Depends(Public("public keys are not secret"))], responses=documented(JWKS_PATH))
async def read_keys(issuer: IssuerDep, response: Response) -> JwkSet:
    """Returns the keys that verify access tokens (RFC 7517)."""
    response.headers["Cache-Control"] = "public, max-age=60"
    published = jwk_set(await issuer.published())
    return JwkSet(keys=[Jwk.model_validate(key) for key in published["keys"]])


@router.post(
    "/v1/tokens",
    responses=documented("/v1/tokens", *access_problems.MEMBER_PROBLEMS, problems.tokens_not_configured()),
)
async def issue_token(issuer: IssuerDep, caller: AnyMember, response: Response) -> TokenView:
    """Issues a token for the other services, with the caller's role in the organization."""
    forbid_caching(response)
    issued = await issuer.for_member(caller.person_id, caller.account_id, caller.role)
    return token_view(*issued, PERSON_TOKEN_LIFETIME)


@router.post(
    TOKENS_PATH,
    dependencies=[Depends(ServicesOnly())],
    responses=documented(
        TOKENS_PATH,
        *access_problems.SERVICE_PROBLEMS,
        bad_request(),
        invalid_input("service"),
        problems.tokens_not_configured(),
    ),
)
async def issue_service_token(issuer: IssuerDep, body: ServiceTokenRequest, response: Response) -> TokenView:
    """Issues a service's own token in exchange for the secret that all services share."""
    forbid_caching(response)
    return token_view(*await issuer.for_service(body.service), SERVICE_TOKEN_LIFETIME)


@router.post(
    "/v1/operator/tokens",
    responses=documented("/v1/operator/tokens", *access_problems.OPERATOR_PROBLEMS, problems.tokens_not_configured()),
)
async def issue_operator_token(issuer: IssuerDep, caller: OperatorCaller, response: Response) -> TokenView:
    """Issues a token for the operators' APIs of the other services."""
    forbid_caching(response)
    return token_view(*await issuer.for_operator(caller.actor.id), PERSON_TOKEN_LIFETIME)


def token_view(text: str, token: AccessToken, lifetime: timedelta) -> TokenView:
    return TokenView(
        token=text,
        expires_in=int(lifetime.total_seconds()),
        expires_at=token.expires_at,
        account_id=token.account_id,
        role=token.role,
    )
