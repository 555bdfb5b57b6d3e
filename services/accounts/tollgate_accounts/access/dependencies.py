"""Typed dependencies: the parts of the application's state that routes need.

`build_app` sets the state. A route names what it needs as a parameter: `async def list_keys(pool: PoolDep, ...)`.
The functions are async because FastAPI runs others in a thread, which costs more than the lookup itself.
"""

from typing import Annotated, cast

from fastapi import Depends, Request
from pydantic import SecretStr

from tollgate_accounts.rules import Rules
from tollgate_common.postgres.connection import Pool


async def _pool(request: Request) -> Pool:
    return cast(Pool, request.app.state.pool)


async def _rules(request: Request) -> Rules:
    return cast(Rules, request.app.state.rules)


async def _operator_token(request: Request) -> SecretStr | None:
    return cast(SecretStr | None, request.app.state.operator_token)


async def _internal_token(request: Request) -> SecretStr | None:
    return cast(SecretStr | None, request.app.state.internal_token)


PoolDep = Annotated[Pool, Depends(_pool)]
RulesDep = Annotated[Rules, Depends(_rules)]
OperatorTokenDep = Annotated[SecretStr | None, Depends(_operator_token)]
InternalTokenDep = Annotated[SecretStr | None, Depends(_internal_token)]
