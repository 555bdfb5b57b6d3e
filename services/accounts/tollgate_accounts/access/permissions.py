"""Who may call a route: a dependency that every route has, and from which the table of the tests is generated."""

import hashlib
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from tollgate_accounts.access import problems, store
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
    """What the caller shows, in the header or, from the console's pages alone, in the cookie.

    Raises:
        Problem: a cookie came with a call that changes something, and not from a page of the console. A browser sends
            cookies along with what any page asks for, and it always tells which page's origin that was.
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
    """A caller who has signed in."""

    person_id: str
    email: str
    is_verified: bool
    session_id: str
    address: str

    @property
    def actor(self) -> Actor:
        """For the audit log."""
        return Actor("person", self.person_id, self.address)


@dataclass(frozen=True)
class Member(Person):
    """A caller in an organization, whose id is the `account_id` of everything that it owns."""

    account_id: str
    role: Role


class Permission:
    """What every route depends on once, in one of its kinds; a test fails for a route that does not."""


class Public(Permission):
    """Anybody may call; `why` says what makes that safe."""

    def __init__(self, why: str) -> None:
        self.why = why

    async def __call__(self) -> None:
        """Lets everybody in."""


class SignedIn(Permission):
    """Any person who has signed in; what they see is theirs alone."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __call__(self, request: Request, bearer: Bearer) -> Person:
        """The caller.

        Raises:
            Problem: there is no session.
        """
        address = address_of(request)
        session = await find_session(self._pool, bearer, None, address)
        return Person(session.person_id, session.email, session.is_verified, session.session_id, address)


class InOrganization(Permission):
    """Members of one of these roles, each in their own organization."""

    def __init__(self, pool: Pool, roles: tuple[Role, ...]) -> None:
        self._pool = pool
        self.roles = roles

    async def __call__(self, request: Request, bearer: Bearer, organization: Organization = None) -> Member:
        """The caller, in the organization that they name or have switched to.

        Raises:
            Problem: there is no session, they are no member, or their role is none of these.
        """
        address = address_of(request)
        session = await find_session(self._pool, bearer, str(organization) if organization else None, address)
        if session.account_id is None or session.role is None:
            raise problems.organization_not_found()
        role = Role(session.role)
        if role not in self.roles:
            raise problems.role_insufficient(*self.roles)
        return Member(
            session.person_id,
            session.email,
            session.is_verified,
            session.session_id,
            address,
            session.account_id,
            role,
        )


class Access:
    """Makes the permissions of routes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def signed_in(self) -> SignedIn:
        return SignedIn(self._pool)

    def member(self, *roles: Role) -> InOrganization:
        """Members with one of these roles; without any, all members."""
        return InOrganization(self._pool, roles or EVERYONE)


async def find_session(
    pool: Pool, bearer: HTTPAuthorizationCredentials | None, account_id: str | None, address: str
) -> store.Session:
    """The session of a call.

    Raises:
        Problem: no token was sent, it is no session's, or the session has ended.
    """
    if bearer is None:
        raise problems.session_missing()
    if not bearer.credentials.startswith(SESSION_PREFIX):
        raise problems.session_invalid()
    async with pool.connection() as connection:
        session = await store.find_session(connection, token_hash(bearer.credentials), account_id)
        if session is None:
            raise problems.session_invalid()
        if session.must_be_marked:
            await store.mark_seen(connection, session.session_id, address)
    return session


def token_hash(token: str) -> str:
    """A plain SHA-256: the token is as hard to guess as its 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def require_console(request: Request) -> None:
    """Refuse what a page of another origin than the console's asks for.

    Raises:
        Problem: the call comes from elsewhere, or nobody has said where the console is.
    """
    rules: Rules = request.app.state.rules
    if rules.console_origin is None or request.headers.get("Origin") != rules.console_origin:
        raise problems.origin_refused()


def address_of(request: Request) -> str:
    # Behind a proxy that is trusted, the application has put the client's own address here.
    return request.client.host if request.client else ""
