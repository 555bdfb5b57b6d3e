"""The HTTP API: sign-up, sessions, promo codes, API keys."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

import psycopg
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from tollgate_accounts import handlers, problems
from tollgate_accounts.passwords import Passwords
from tollgate_accounts.problems import documented
from tollgate_accounts.schemas import (
    AccountView,
    GrantView,
    KeyPage,
    KeyRequest,
    KeyView,
    NewKeyView,
    Redemption,
    SessionView,
    SignIn,
    SignUp,
)
from tollgate_accounts.store import Account
from tollgate_common.errors import Problem
from tollgate_common.http import create_app, problem_response
from tollgate_common.money import decimal_from_nano
from tollgate_common.postgres import Pool

KEYS_PAGE = 100
MAX_KEYS_PAGE = 1000

_bearer = HTTPBearer(auto_error=False, description="a session's token, `tgs_...`, from POST /v1/sessions")
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]

NEEDS_SESSION = (problems.session_missing(), problems.session_invalid())


def promo_problems(field: str) -> tuple[Problem, ...]:
    return (
        problems.promo_code_unknown(field),
        problems.promo_code_not_started(field),
        problems.promo_code_over(field),
        problems.promo_code_used_up(field),
        problems.promo_code_already_redeemed(field),
    )


def build_app(pool: Pool, passwords: Passwords, ready: Callable[[], str | None]) -> FastAPI:
    app = create_app("Tollgate accounts", ready=ready)
    app.add_exception_handler(psycopg.OperationalError, _render_unavailable)
    app.include_router(entrance(pool, passwords))
    app.include_router(account_routes(pool))
    app.include_router(key_routes(pool))
    return app


def entrance(pool: Pool, passwords: Passwords) -> APIRouter:
    """What needs no session."""
    router = APIRouter(prefix="/v1")

    @router.post(
        "/accounts",
        status_code=HTTPStatus.CREATED,
        responses=documented(
            "/v1/accounts",
            problems.email_taken(),
            problems.bad_request(),
            problems.invalid_input("email"),
            *promo_problems("promo_code"),
        ),
    )
    async def sign_up(body: SignUp) -> AccountView:
        password = body.password.get_secret_value()
        return _account_view(await handlers.sign_up(pool, passwords, body.email, password, body.promo_code))

    @router.post(
        "/sessions",
        status_code=HTTPStatus.CREATED,
        responses=documented(
            "/v1/sessions",
            problems.credentials_wrong(),
            problems.bad_request(),
            problems.invalid_input("email"),
            problems.too_many_attempts(600),
        ),
    )
    async def sign_in(body: SignIn, request: Request, response: Response) -> SessionView:
        _keep_out_of_caches(response)
        # Behind a proxy this is the proxy's address, and the limit is then one for each e-mail.
        address = request.client.host if request.client else ""
        password = body.password.get_secret_value()
        session = await handlers.sign_in(pool, passwords, body.email, password, address)
        return SessionView(token=session.token, expires_at=session.expires_at)

    return router


def account_routes(pool: Pool) -> APIRouter:
    router = APIRouter(prefix="/v1")
    signed_in = session_check(pool)

    @router.get("/account", responses=documented("/v1/account", *NEEDS_SESSION))
    async def get_account(caller: Annotated[Account, Depends(signed_in)]) -> AccountView:
        return _account_view(caller)

    @router.delete(
        "/sessions/current",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented("/v1/sessions/current", *NEEDS_SESSION),
    )
    async def sign_out(caller: Annotated[Account, Depends(signed_in)], bearer: Bearer) -> None:
        assert bearer is not None, "the caller was found by it"
        await handlers.sign_out(pool, caller.id, bearer.credentials)

    @router.post(
        "/promo-codes/redemptions",
        status_code=HTTPStatus.CREATED,
        responses=documented(
            "/v1/promo-codes/redemptions",
            *NEEDS_SESSION,
            problems.bad_request(),
            problems.invalid_input("code"),
            *promo_problems("code"),
        ),
    )
    async def redeem(caller: Annotated[Account, Depends(signed_in)], body: Redemption) -> GrantView:
        grant = await handlers.redeem(pool, caller.id, body.code)
        return GrantView(
            grant_id=grant.grant_id,
            amount_nano=grant.amount_nano,
            amount=decimal_from_nano(grant.amount_nano),
            expires_at=grant.expires_at,
        )

    return router


def key_routes(pool: Pool) -> APIRouter:
    router = APIRouter(prefix="/v1/keys")
    signed_in = session_check(pool)

    @router.post(
        "",
        status_code=HTTPStatus.CREATED,
        responses=documented("/v1/keys", *NEEDS_SESSION, problems.bad_request(), problems.invalid_input("name")),
    )
    async def create_key(
        caller: Annotated[Account, Depends(signed_in)], body: KeyRequest, response: Response
    ) -> NewKeyView:
        _keep_out_of_caches(response)
        key, text = await handlers.create_key(pool, caller.id, body.name, body.expires_at, body.models)
        return NewKeyView.model_validate({**key._asdict(), "key": text})

    @router.get("", responses=documented("/v1/keys", *NEEDS_SESSION, problems.invalid_input("limit")))
    async def list_keys(
        caller: Annotated[Account, Depends(signed_in)],
        after: Annotated[UUID | None, Query(description="`next_after` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_KEYS_PAGE)] = KEYS_PAGE,
    ) -> KeyPage:
        keys = await handlers.list_keys(pool, caller.id, str(after) if after else None, limit)
        return KeyPage(
            keys=[KeyView.model_validate(key._asdict()) for key in keys],
            next_after=keys[-1].id if len(keys) == limit else None,
        )

    @router.delete(
        "/{key_id}",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented(
            "/v1/keys/{key_id}", *NEEDS_SESSION, problems.key_not_found(), problems.invalid_input("key_id")
        ),
    )
    async def revoke_key(caller: Annotated[Account, Depends(signed_in)], key_id: UUID) -> None:
        await handlers.revoke_key(pool, caller.id, str(key_id))

    return router


def session_check(pool: Pool) -> Callable[..., Awaitable[Account]]:
    async def signed_in(bearer: Bearer) -> Account:
        if bearer is None:
            raise problems.session_missing()
        return await handlers.account_of_session(pool, bearer.credentials)

    return signed_in


def _account_view(account: Account) -> AccountView:
    return AccountView(account_id=account.id, email=account.email, created_at=account.created_at)


def _keep_out_of_caches(response: Response) -> None:
    """For answers that carry a secret (RFC 6749, section 5.1, asks the same of tokens)."""
    response.headers["Cache-Control"] = "no-store"


async def _render_unavailable(request: Request, _: Exception) -> Response:
    return problem_response(problems.store_unavailable(), request.url.path)
