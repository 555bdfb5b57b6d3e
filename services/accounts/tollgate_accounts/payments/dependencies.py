"""Typed dependencies of the payment routes."""

from typing import Annotated, cast

from fastapi import Depends, Request

from tollgate_accounts.payments.stripe_checkout import StripeCheckout


async def _stripe(request: Request) -> StripeCheckout | None:
    return cast(StripeCheckout | None, request.app.state.stripe)


StripeDep = Annotated[StripeCheckout | None, Depends(_stripe)]
