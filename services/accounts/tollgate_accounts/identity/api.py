"""Sign-up, sign-in and sessions over HTTP."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from tollgate_accounts.access import problems as access_problems
from tollgate_accounts.access.dependencies import PoolDep
from tollgate_accounts.access.permissions import SESSION_COOKIE, Public, SignedInPerson, address_of, require_console
from tollgate_accounts.identity import handlers, problems
from tollgate_accounts.identity.dependencies import IdentityContextDep
from tollgate_accounts.identity.handlers import SESSION_LIFETIME, IdentityContext
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
from tollgate_accounts.schemas import forbid_caching

MAX_USER_AGENT = 300

router = APIRouter(prefix="/v1", tags=["sign-up and sessions"])


@router.post(
    "/accounts",
    status_code=HTTPStatus.CREATED,
    dependencies=[Depends(Public("anyone may sign up; attempts are limited"))],
    responses=documented(
        "/v1/accounts",
        bad_request(),
        invalid_input("email"),
        access_problems.too_many_attempts(600),
        *promo_problems.redemption_problems("promo_code"),
    ),
)
async def sign_up(context: IdentityContextDep, body: SignUp, request: Request) -> SignedUpView:
    await handlers.sign_up(
        context,
        email=body.email,
        password=body.password.get_secret_value(),
        promo_code=body.promo_code,
        address=address_of(request),
    )
    next_step = "; open its link before you sign in" if context.rules.email_must_be_verified else ""
    return SignedUpView(email=body.email, detail=f"we sent you a mail{next_step}")


@router.post(
    "/sessions",
    status_code=HTTPStatus.CREATED,
    dependencies=[Depends(Public("requires the password; attempts are limited"))],
    responses=documented(
        "/v1/sessions",
        problems.invalid_credentials(),
        access_problems.origin_not_allowed(),
        bad_request(),
        invalid_input("email"),
        access_problems.too_many_attempts(600),
    ),
)
async def sign_in(context: IdentityContextDep, body: SignIn, request: Request, response: Response) -> SessionView:
    forbid_caching(response)
    if body.cookie:
        # Another site's page must not be able to sign its visitor in as somebody else.
        require_console(request)
    session = await handlers.sign_in(
        context,
        email=body.email,
        password=body.password.get_secret_value(),
        address=address_of(request),
        user_agent=request.headers.get("User-Agent", "")[:MAX_USER_AGENT],
    )
    if body.cookie:
        _set_cookie(response, context, session.token)
    return SessionView(token=None if body.cookie else session.token, expires_at=session.expires_at)


@router.get("/person", responses=documented("/v1/person", *access_problems.PERSON_PROBLEMS))
async def get_person(caller: SignedInPerson) -> PersonView:
    return PersonView(person_id=caller.person_id, email=caller.email, email_is_verified=caller.is_verified)


@router.get("/sessions", responses=documented("/v1/sessions", *access_problems.PERSON_PROBLEMS))
async def list_sessions(pool: PoolDep, caller: SignedInPerson) -> SessionList:
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
    responses=documented("/v1/sessions/current", *access_problems.PERSON_PROBLEMS, problems.session_not_found()),
)
async def sign_out(pool: PoolDep, context: IdentityContextDep, caller: SignedInPerson, response: Response) -> None:
    await handlers.end_session(pool, caller, caller.session_id)
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict", secure=context.rules.is_https)


@router.delete(
    "/sessions/{session_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=documented(
        "/v1/sessions/{session_id}",
        *access_problems.PERSON_PROBLEMS,
        problems.session_not_found(),
        invalid_input("session_id"),
    ),
)
async def end_session(pool: PoolDep, caller: SignedInPerson, session_id: UUID) -> None:
    await handlers.end_session(pool, caller, str(session_id))


def _set_cookie(response: Response, context: IdentityContext, token: str) -> None:
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=int(SESSION_LIFETIME.total_seconds()),
        httponly=True,
        samesite="strict",
        # A development console runs without TLS, and browsers do not store a secure cookie from it.
        secure=context.rules.is_https,
    )
