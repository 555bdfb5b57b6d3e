"""Typed dependencies of the token routes."""

from typing import Annotated, cast

from fastapi import Depends, Request

from tollgate_accounts.tokens.handlers import Issuer


async def _issuer(request: Request) -> Issuer:
    return cast(Issuer, request.app.state.issuer)


IssuerDep = Annotated[Issuer, Depends(_issuer)]
