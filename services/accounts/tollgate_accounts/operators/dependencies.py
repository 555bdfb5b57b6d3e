"""Typed dependencies of the operator routes."""

from typing import Annotated, cast

from fastapi import Depends, Request

from tollgate_accounts.operators.balance_client import BalanceClient


async def _balance(request: Request) -> BalanceClient | None:
    return cast(BalanceClient | None, request.app.state.balance)


BalanceDep = Annotated[BalanceClient | None, Depends(_balance)]
