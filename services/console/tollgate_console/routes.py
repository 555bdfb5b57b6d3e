"""The requests that pages may make, each with its credential. No other request is forwarded.

The path of a page's request is `/api/<service>/v1/...`. The list is short on purpose: a browser's cookie reaches no API
of operators or services, and none that returns a session's token.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

ID = r"[0-9A-Za-z-]{1,64}"


class Credential(Enum):
    NONE = auto()
    """Public: no credential is sent."""
    SESSION = auto()
    """The session's token, for accounts only."""
    ACCESS_TOKEN = auto()
    """An access token that accounts signs for the session, for every other service."""


@dataclass(frozen=True)
class Route:
    method: str
    path: re.Pattern[str]
    credential: Credential
    is_stream: bool = False

    @property
    def service(self) -> str:
        return self.path.pattern.split("/")[0]


def _route(method: str, path: str, credential: Credential, *, is_stream: bool = False) -> Route:
    return Route(method, re.compile(path.replace("{id}", ID), re.ASCII), credential, is_stream)


ROUTES = (
    _route("POST", "accounts/v1/accounts", Credential.NONE),
    _route("POST", "accounts/v1/email-verifications", Credential.NONE),
    _route("POST", "accounts/v1/email-verifications/requests", Credential.NONE),
    _route("POST", "accounts/v1/password-resets", Credential.NONE),
    _route("POST", "accounts/v1/password-resets/requests", Credential.NONE),
    _route("POST", "accounts/v1/keys/leaked", Credential.NONE),
    _route("PUT", "accounts/v1/password", Credential.SESSION),
    _route("GET", "accounts/v1/sessions", Credential.SESSION),
    _route("DELETE", "accounts/v1/sessions/{id}", Credential.SESSION),
    _route("PUT", "accounts/v1/sessions/current/organization", Credential.SESSION),
    _route("GET", "accounts/v1/organizations", Credential.SESSION),
    _route("POST", "accounts/v1/organizations", Credential.SESSION),
    _route("PATCH", "accounts/v1/account", Credential.SESSION),
    _route("GET", "accounts/v1/members", Credential.SESSION),
    _route("PATCH", "accounts/v1/members/{id}", Credential.SESSION),
    _route("DELETE", "accounts/v1/members/{id}", Credential.SESSION),
    _route("GET", "accounts/v1/invitations", Credential.SESSION),
    _route("POST", "accounts/v1/invitations", Credential.SESSION),
    _route("DELETE", "accounts/v1/invitations/{id}", Credential.SESSION),
    _route("POST", "accounts/v1/invitations/acceptances", Credential.SESSION),
    _route("GET", "accounts/v1/audit-log", Credential.SESSION),
    _route("GET", "accounts/v1/projects", Credential.SESSION),
    _route("POST", "accounts/v1/projects", Credential.SESSION),
    _route("PATCH", "accounts/v1/projects/{id}", Credential.SESSION),
    _route("DELETE", "accounts/v1/projects/{id}", Credential.SESSION),
    _route("GET", "accounts/v1/keys", Credential.SESSION),
    _route("POST", "accounts/v1/keys", Credential.SESSION),
    _route("GET", "accounts/v1/keys/{id}", Credential.SESSION),
    _route("PATCH", "accounts/v1/keys/{id}", Credential.SESSION),
    _route("DELETE", "accounts/v1/keys/{id}", Credential.SESSION),
    _route("POST", "accounts/v1/keys/{id}/rotations", Credential.SESSION),
    _route("POST", "accounts/v1/promo-codes/redemptions", Credential.SESSION),
    _route("GET", "accounts/v1/payments", Credential.SESSION),
    _route("POST", "accounts/v1/payments", Credential.SESSION),
    _route("GET", "analytics/v1/usage", Credential.ACCESS_TOKEN),
    _route("GET", "analytics/v1/requests", Credential.ACCESS_TOKEN),
    _route("GET", "analytics/v1/requests/export", Credential.ACCESS_TOKEN, is_stream=True),
    _route("GET", "analytics/v1/generation", Credential.ACCESS_TOKEN),
    _route("GET", "analytics/v1/live", Credential.ACCESS_TOKEN, is_stream=True),
    _route("GET", "balance/v1/balance", Credential.ACCESS_TOKEN),
    _route("GET", "balance/v1/grants", Credential.ACCESS_TOKEN),
    _route("GET", "balance/v1/budgets", Credential.ACCESS_TOKEN),
    _route("GET", "billing/v1/prices", Credential.NONE),
)


def find_route(method: str, path: str) -> Route | None:
    return next((route for route in ROUTES if route.method == method and route.path.fullmatch(path)), None)
