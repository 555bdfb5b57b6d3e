"""Sign-up and sessions over HTTP."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.permissions import Access, Person, Public, address_of
from tollgate_accounts.identity import handlers, problems
from tollgate_accounts.identity.passwords import Passwords
from tollgate_accounts.identity.schemas import SessionView, SignedUpView, SignIn, SignUp
from tollgate_accounts.problems import bad_request, documented, invalid_input
from tollgate_accounts.promo import problems as promo_problems
from tollgate_accounts.schemas import keep_out_of_caches
from tollgate_common.postgres import Pool

MAX_USER_AGENT = 300


def routes(pool: Pool, passwords: Passwords, access: Access) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["sign-up and sessions"])
    entrance(router, pool, passwords)
    session_routes(router, pool, access)
    return router


def entrance(router: APIRouter, pool: Pool, passwords: Passwords) -> None:
    """What needs no session."""

    @router.post(
        "/accounts",
        status_code=HTTPStatus.CREATED,
        dependencies=[Depends(Public("a stranger becomes a customer here"))],
        responses=documented(
            "/v1/accounts",
            problems.email_taken(),
            bad_request(),
            invalid_input("email"),
            *promo_problems.of_redemption("promo_code"),
        ),
    )
    async def sign_up(body: SignUp, request: Request) -> SignedUpView:
        account_id = await handlers.sign_up(
            pool,
            passwords,
            email=body.email,
            password=body.password.get_secret_value(),
            promo_code=body.promo_code,
            address=address_of(request),
        )
        return SignedUpView(account_id=account_id, email=body.email)

    @router.post(
        "/sessions",
        status_code=HTTPStatus.CREATED,
        dependencies=[Depends(Public("takes the password; attempts are counted"))],
        responses=documented(
            "/v1/sessions",
            problems.credentials_wrong(),
            bad_request(),
            invalid_input("email"),
            problems.too_many_attempts(600),
        ),
    )
    async def sign_in(body: SignIn, request: Request, response: Response) -> SessionView:
        keep_out_of_caches(response)
        session = await handlers.sign_in(
            pool,
            passwords,
            email=body.email,
            password=body.password.get_secret_value(),
            address=address_of(request),
            user_agent=request.headers.get("User-Agent", "")[:MAX_USER_AGENT],
        )
        return SessionView(token=session.token, expires_at=session.expires_at)


def session_routes(router: APIRouter, pool: Pool, access: Access) -> None:
    @router.delete(
        "/sessions/current",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented("/v1/sessions/current", *access_problems.OF_PERSONS),
    )
    async def sign_out(caller: Annotated[Person, Depends(access.signed_in())]) -> None:
        await handlers.sign_out(pool, caller.person_id, caller.session_id)
