"""The HTTP client of a running billing service."""

import argparse
import sys
from datetime import UTC, datetime
from typing import Any, NoReturn

import httpx

URL_VARIABLE, TOKEN_VARIABLE = "TOLLGATE_BILLING_URL", "TOLLGATE_OPERATOR_TOKEN"
# A reconciliation of all records reads every row.
TIMEOUT_S = 600.0
CLEAN, DIFFERENCES, FAILED = 0, 1, 2


class Client:
    """Calls the operators' API. Every error ends the command with a message and status 2."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_S, headers={"Authorization": f"Bearer {token}"})

    def ask(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Any:
        try:
            with self._http as http:
                response = http.request(method, path, params=query, json=body)
        except httpx.HTTPError as error:
            stop(f"{self._http.base_url} is unavailable: {error}; set {URL_VARIABLE} to the billing service's address")
        if not response.is_success:
            stop(f"{response.status_code}: {_detail(response)}")
        return response.json()


def moment(text: str) -> str:
    """Parse an RFC 3339 time. Without an offset it is UTC."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time; expected 2026-11-23 or 2026-11-23T05:00:00Z"
        ) from error
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).isoformat()


def stop(message: str) -> NoReturn:
    sys.stderr.write(f"tollgate: {message}\n")
    sys.exit(FAILED)


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError):
        return response.text[:500]
