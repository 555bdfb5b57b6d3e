"""Access tokens over HTTP: for members, for services, and the keys that verify them."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.operators import OfOperators, OfServices, Operator
from tollgate_accounts.access.permissions import Access, Member, Public
from tollgate_accounts.problems import bad_request, documented, invalid_input
from tollgate_accounts.schemas import keep_out_of_caches
from tollgate_accounts.tokens import problems
from tollgate_accounts.tokens.handlers import PERSON_TOKEN_LIFETIME, SERVICE_TOKEN_LIFETIME, Issuer
from tollgate_accounts.tokens.schemas import Jwk, JwkSet, ServiceTokenRequest, TokenView
from tollgate_common.auth.access_tokens import JWKS_PATH, AccessToken, jwk_set
from tollgate_common.auth.service_auth import TOKENS_PATH


def routes(issuer: Issuer, access: Access, services: OfServices, operators: OfOperators) -> APIRouter:
    router = APIRouter(tags=["access tokens"])
    anybody = Public("public keys are for everybody")

    @router.get(JWKS_PATH, dependencies=[Depends(anybody)], responses=documented(JWKS_PATH))
    async def read_keys(response: Response) -> JwkSet:
        """The keys that verify access tokens (RFC 7517)."""
        response.headers["Cache-Control"] = "public, max-age=60"
        published = jwk_set(await issuer.published())
        return JwkSet(keys=[Jwk.model_validate(key) for key in published["keys"]])

    @router.post(
        "/v1/tokens",
        responses=documented("/v1/tokens", *access_problems.OF_MEMBERS, problems.tokens_not_configured()),
    )
    async def issue_token(caller: Annotated[Member, Depends(access.member())], response: Response) -> TokenView:
        """A token for the other services, with the caller's role in the organization."""
        keep_out_of_caches(response)
        issued = await issuer.for_member(caller.person_id, caller.account_id, caller.role)
        return token_view(*issued, PERSON_TOKEN_LIFETIME)

    @router.post(
        TOKENS_PATH,
        dependencies=[Depends(services)],
        responses=documented(
            TOKENS_PATH,
            *access_problems.OF_SERVICES,
            bad_request(),
            invalid_input("service"),
            problems.tokens_not_configured(),
        ),
    )
    async def issue_service_token(body: ServiceTokenRequest, response: Response) -> TokenView:
        """A service's own token, for the secret that all of the deployment's processes share."""
        keep_out_of_caches(response)
        return token_view(*await issuer.for_service(body.service), SERVICE_TOKEN_LIFETIME)

    @router.post(
        "/v1/operator/tokens",
        responses=documented("/v1/operator/tokens", *access_problems.OF_OPERATORS, problems.tokens_not_configured()),
    )
    async def issue_operator_token(caller: Annotated[Operator, Depends(operators)], response: Response) -> TokenView:
        """A token for what operators do at the other services."""
        keep_out_of_caches(response)
        return token_view(*await issuer.for_operator(caller.actor.id), PERSON_TOKEN_LIFETIME)

    return router


def token_view(text: str, token: AccessToken, lifetime: timedelta) -> TokenView:
    return TokenView(
        token=text,
        expires_in=int(lifetime.total_seconds()),
        expires_at=token.expires_at,
        account_id=token.account_id,
        role=token.role,
    )
