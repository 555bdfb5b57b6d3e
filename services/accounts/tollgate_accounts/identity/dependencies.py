"""Typed dependencies of the identity routes."""

from typing import Annotated, cast

from fastapi import Depends, Request

from tollgate_accounts.identity.handlers import IdentityContext


async def _identity_context(request: Request) -> IdentityContext:
    return cast(IdentityContext, request.app.state.identity)


IdentityContextDep = Annotated[IdentityContext, Depends(_identity_context)]
