"""Who calls a customer's API: the owner of the API key in the `Authorization` header."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus

from fastapi import Request

from tollgate_common.errors import Problem
from tollgate_common.events import KeyRecord
from tollgate_common.keys import KeyDirectory


def customers(keys: KeyDirectory) -> Callable[[Request], Coroutine[None, None, KeyRecord]]:
    """The dependency that finds the caller's key.

    Raises:
        Problem: 401 without a valid key, 503 while the keys are not all known yet.
    """

    async def customer(request: Request) -> KeyRecord:
        text = bearer(request)
        if text is None:
            raise unauthorized("missing_api_key", "send your API key as 'Authorization: Bearer tg_...'")
        record = keys.find(text)
        if record is not None:
            return record
        if (waiting_for := keys.topic.waiting_for()) is not None:
            detail = f"starting, still reading {waiting_for}; try again in a moment"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "starting", detail, headers={"Retry-After": "1"})
        raise unauthorized("invalid_api_key", "this API key is not valid: mistyped, revoked or expired")

    return customer


def bearer(request: Request) -> str | None:
    """What the `Authorization` header bears, if it is of that kind."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    return text.strip() or None if scheme.lower() == "bearer" else None


def unauthorized(code: str, detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, code, detail, headers={"WWW-Authenticate": "Bearer"})
