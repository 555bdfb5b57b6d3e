"""Sign-up, sign-in and sessions over HTTP."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.permissions import (
    SESSION_COOKIE,
    Access,
    Person,
    Public,
    address_of,
    require_console,
)
from tollgate_accounts.identity import handlers, problems
from tollgate_accounts.identity.handlers import SESSION_LIFETIME, Entrance
from tollgate_accounts.identity.schemas import (
    ListedSessionView,
    PersonView,
    SessionList,
    SessionView,
    SignedUpView,
    SignIn,
    SignUp,
)
from tollgate_accounts.problems import bad_request, documented, invalid_input
from tollgate_accounts.promo import problems as promo_problems
from tollgate_accounts.schemas import keep_out_of_caches

MAX_USER_AGENT = 300


def routes(entrance: Entrance, access: Access) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["sign-up and sessions"])
    _entrance(router, entrance)
    _sessions(router, entrance, access)
    return router


def _entrance(router: APIRouter, entrance: Entrance) -> None:
    """What needs no session."""

    @router.post(
        "/accounts",
        status_code=HTTPStatus.CREATED,
        dependencies=[Depends(Public("a stranger becomes a customer here; attempts are counted"))],
        responses=documented(
            "/v1/accounts",
            bad_request(),
            invalid_input("email"),
            access_problems.too_many_attempts(600),
            *promo_problems.of_redemption("promo_code"),
        ),
    )
    async def sign_up(body: SignUp, request: Request) -> SignedUpView:
        await handlers.sign_up(
            entrance,
            email=body.email,
            password=body.password.get_secret_value(),
            promo_code=body.promo_code,
            address=address_of(request),
        )
        must = "; open the link in it before you sign in" if entrance.rules.email_must_be_verified else ""
        return SignedUpView(email=body.email, detail=f"a mail is on its way to you{must}")

    @router.post(
        "/sessions",
        status_code=HTTPStatus.CREATED,
        dependencies=[Depends(Public("takes the password; attempts are counted"))],
        responses=documented(
            "/v1/sessions",
            problems.credentials_wrong(),
            access_problems.origin_refused(),
            bad_request(),
            invalid_input("email"),
            access_problems.too_many_attempts(600),
        ),
    )
    async def sign_in(body: SignIn, request: Request, response: Response) -> SessionView:
        keep_out_of_caches(response)
        if body.cookie:
            # Another page must not be able to sign its visitor in as somebody else.
            require_console(request)
        session = await handlers.sign_in(
            entrance,
            email=body.email,
            password=body.password.get_secret_value(),
            address=address_of(request),
            user_agent=request.headers.get("User-Agent", "")[:MAX_USER_AGENT],
        )
        if body.cookie:
            _set_cookie(response, entrance, session.token)
        return SessionView(token=None if body.cookie else session.token, expires_at=session.expires_at)


def _sessions(router: APIRouter, entrance: Entrance, access: Access) -> None:
    pool = entrance.pool

    @router.get("/person", responses=documented("/v1/person", *access_problems.OF_PERSONS))
    async def get_person(caller: Annotated[Person, Depends(access.signed_in())]) -> PersonView:
        return PersonView(person_id=caller.person_id, email=caller.email, email_is_verified=caller.is_verified)

    @router.get("/sessions", responses=documented("/v1/sessions", *access_problems.OF_PERSONS))
    async def list_sessions(caller: Annotated[Person, Depends(access.signed_in())]) -> SessionList:
        found = await handlers.list_sessions(pool, caller.person_id)
        return SessionList(
            sessions=[
                ListedSessionView.model_validate({**one._asdict(), "is_current": one.id == caller.session_id})
                for one in found
            ]
        )

    @router.delete(
        "/sessions/current",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented("/v1/sessions/current", *access_problems.OF_PERSONS, problems.session_not_found()),
    )
    async def sign_out(caller: Annotated[Person, Depends(access.signed_in())], response: Response) -> None:
        await handlers.end_session(pool, caller, caller.session_id)
        response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict", secure=entrance.rules.is_https)

    @router.delete(
        "/sessions/{session_id}",
        status_code=HTTPStatus.NO_CONTENT,
        responses=documented(
            "/v1/sessions/{session_id}",
            *access_problems.OF_PERSONS,
            problems.session_not_found(),
            invalid_input("session_id"),
        ),
    )
    async def end_session(caller: Annotated[Person, Depends(access.signed_in())], session_id: UUID) -> None:
        await handlers.end_session(pool, caller, str(session_id))


def _set_cookie(response: Response, entrance: Entrance, token: str) -> None:
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=int(SESSION_LIFETIME.total_seconds()),
        httponly=True,
        samesite="strict",
        # A console on this machine, without TLS, is for developers; browsers would not keep a secure cookie of it.
        secure=entrance.rules.is_https,
    )
