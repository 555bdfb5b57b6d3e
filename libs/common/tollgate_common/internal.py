"""Who may call `/internal/v1/...`: the deployment's own processes, which share one secret."""

import hmac
from collections.abc import Callable
from typing import Annotated

from fastapi import Header

from tollgate_common.errors import Problem


def internal_callers(token: str | None, code: str, consequence: str) -> Callable[..., None]:
    """The dependency that lets in who shows `token` as a bearer.

    Args:
        token: `TOLLGATE_INTERNAL_TOKEN`; without one nobody is let in.
        code: of the 503 then.
        consequence: what does not work then, as the end of a sentence.

    Raises:
        Problem: 503 if there is no token, 401 if the caller does not know it.
    """

    def check(authorization: Annotated[str, Header()] = "") -> None:
        if token is None:
            raise Problem(503, code, f"TOLLGATE_INTERNAL_TOKEN is not set, so {consequence}")
        if not hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            raise Problem(
                401,
                "invalid_token",
                "expected the header Authorization: Bearer and TOLLGATE_INTERNAL_TOKEN",
                headers={"WWW-Authenticate": "Bearer"},
            )

    return check
