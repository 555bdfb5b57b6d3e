"""Permissions: each route depends on exactly one. The permission tests derive their table from these dependencies."""

import hashlib
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from tollgate_accounts.access import problems, store
from tollgate_accounts.access.dependencies import PoolDep
from tollgate_accounts.access.roles import EVERYONE, Role
from tollgate_accounts.audit.store import Actor
from tollgate_accounts.rules import Rules
from tollgate_common.postgres.connection import Pool

SESSION_PREFIX = "tgs_"
SESSION_COOKIE = "tollgate_session"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

_bearer = HTTPBearer(auto_error=False, description="a session's token, `tgs_...`, from POST /v1/sessions")
_cookie = APIKeyCookie(name=SESSION_COOKIE, auto_error=False, description="the console's own form of it")


async def session_credentials(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> HTTPAuthorizationCredentials | None:
    """Return the credentials from the header, or from the session cookie.

    A browser sends cookies with requests that any page makes, and always names that page's origin. A cookie therefore
    authorizes a change only if the request comes from a page of the console.

    Raises:
        Problem: a cookie came with a request that changes something, and the request is not from the console.
    """
    if bearer is not None or cookie is None:
        return bearer
    if request.method not in SAFE_METHODS:
        require_console(request)
    return HTTPAuthorizationCredentials(scheme="Bearer", credentials=cookie)


Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(session_credentials)]
Organization = Annotated[
    UUID | None,
    Header(
        alias="Tollgate-Organization",
        description="the organization that the call is about; without it the session's own",
    ),
]


@dataclass(frozen=True)
class Person:
    """A signed-in caller."""

    person_id: str
    email: str
    is_verified: bool
    session_id: str
    address: str

    @property
    def actor(self) -> Actor:
        """The actor for the audit log."""
        return Actor("person", self.person_id, self.address)


@dataclass(frozen=True)
class Member(Person):
    """A caller in an organization. The organization's id is the `account_id` of everything it owns."""

    account_id: str
    role: Role


class Permission:
    """Base class of the permissions. A test fails for a route that does not depend on exactly one."""


class Public(Permission):
    """Allow everyone. `why` states why this is safe."""

    def __init__(self, why: str) -> None:
        self.why = why

    async def __call__(self) -> None:
        """Accept every request."""


class SignedIn(Permission):
    """Allow any signed-in person. The route returns only that person's own data."""

    async def __call__(self, request: Request, pool: PoolDep, bearer: Bearer) -> Person:
        """Return the caller.

        Raises:
            Problem: there is no valid session.
        """
        address = address_of(request)
        session = await find_session(pool, bearer, None, address)
        return Person(session.person_id, session.email, session.is_verified, session.session_id, address)


class MembersOnly(Permission):
    """Allow members with one of these roles, each in their own organization."""

    def __init__(self, *roles: Role) -> None:
        self.roles = roles

    async def __call__(
        self, request: Request, pool: PoolDep, bearer: Bearer, organization: Organization = None
    ) -> Member:
        """Return the caller in the organization that the header names, or in the session's organization.

        Raises:
            Problem: there is no valid session, the caller is not a member, or their role is not one of these.
        """
        address = address_of(request)
        session = await find_session(pool, bearer, str(organization) if organization else None, address)
        if session.account_id is None or session.role is None:
            raise problems.organization_not_found()
        role = Role(session.role)
        if role not in self.roles:
            raise problems.insufficient_role(*self.roles)
        return Member(
            session.person_id,
            session.email,
            session.is_verified,
            session.session_id,
            address,
            session.account_id,
            role,
        )


SignedInPerson = Annotated[Person, Depends(SignedIn())]
AnyMember = Annotated[Member, Depends(MembersOnly(*EVERYONE))]
AdminMember = Annotated[Member, Depends(MembersOnly(Role.OWNER, Role.ADMIN))]
DeveloperMember = Annotated[Member, Depends(MembersOnly(Role.OWNER, Role.ADMIN, Role.DEVELOPER))]
BillingMember = Annotated[Member, Depends(MembersOnly(Role.OWNER, Role.ADMIN, Role.BILLING))]


async def find_session(
    pool: Pool, bearer: HTTPAuthorizationCredentials | None, account_id: str | None, address: str
) -> store.Session:
    """Return the session of a request and record when it was last seen.

    Raises:
        Problem: the request has no token, the token is not a session's, or the session has expired.
    """
    if bearer is None:
        raise problems.session_required()
    if not bearer.credentials.startswith(SESSION_PREFIX):
        raise problems.invalid_session()
    async with pool.connection() as connection:
        session = await store.find_session(connection, token_hash(bearer.credentials), account_id)
        if session is None:
            raise problems.invalid_session()
        if session.must_be_marked:
            await store.mark_seen(connection, session.session_id, address)
    return session


def token_hash(token: str) -> str:
    """Return the plain SHA-256 of a token. A slow hash is unnecessary, because the token has 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def require_console(request: Request) -> None:
    """Require that the request comes from a page of the console.

    Raises:
        Problem: the request's origin is not the console's, or the console's URL is not configured.
    """
    rules: Rules = request.app.state.rules
    if rules.console_origin is None or request.headers.get("Origin") != rules.console_origin:
        raise problems.origin_not_allowed()


def address_of(request: Request) -> str:
    # Behind a trusted proxy, ProxyHeadersMiddleware has put the client's own address here.
    return request.client.host if request.client else ""
