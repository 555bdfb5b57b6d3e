"""The HTTP API, put together from its topics."""

from collections.abc import Callable

import psycopg
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from pydantic import SecretStr
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from tollgate_accounts.access.operators import OfOperators, OfServices
from tollgate_accounts.access.permissions import Access
from tollgate_accounts.audit import api as audit
from tollgate_accounts.identity import api as identity
from tollgate_accounts.identity import proofs_api
from tollgate_accounts.identity.handlers import Entrance
from tollgate_accounts.identity.passwords import Passwords
from tollgate_accounts.keys import api as keys
from tollgate_accounts.keys import projects_api
from tollgate_accounts.operators import api as operators_desk
from tollgate_accounts.operators.balance_client import BalanceClient
from tollgate_accounts.organizations import api as organizations
from tollgate_accounts.organizations import members_api
from tollgate_accounts.payments import api as payments
from tollgate_accounts.payments.stripe_checkout import StripeCheckout
from tollgate_accounts.promo import api as promo
from tollgate_accounts.promo import operator_api as campaigns
from tollgate_accounts.rules import Rules
from tollgate_accounts.tokens import api as tokens
from tollgate_accounts.tokens.handlers import Issuer
from tollgate_common.http import create_app, expect_stores_away
from tollgate_common.postgres.connection import Pool


def build_app(
    pool: Pool,
    passwords: Passwords,
    ready: Callable[[], str | None],
    *,
    rules: Rules,
    issuer: Issuer | None = None,
    internal_token: SecretStr | None = None,
    operator_token: SecretStr | None = None,
    stripe: StripeCheckout | None = None,
    balance: BalanceClient | None = None,
) -> FastAPI:
    """Put it together.

    Args:
        pool: of the database.
        passwords: hashes them.
        ready: None when the service can work, otherwise what it waits for.
        rules: what the operator has decided about the entrance.
        issuer: signs access tokens; without it none are given.
        internal_token: the secret of services; without it none is let in.
        operator_token: the secret of operators; without it only persons who are operators are let in.
        stripe: takes payments by card; without it none are.
        balance: asks for the balances that operators look at; without it they see none.
    """
    app = create_app("Tollgate accounts", ready=ready)
    expect_stores_away(app, psycopg.OperationalError)
    app.state.rules = rules
    _let_browsers_in(app, rules)
    access = Access(pool)
    entrance = Entrance(pool, passwords, rules)
    app.include_router(identity.routes(entrance, access))
    app.include_router(proofs_api.routes(entrance, access))
    app.include_router(organizations.routes(pool, access))
    app.include_router(members_api.routes(pool, rules, access))
    app.include_router(keys.routes(pool, rules, access))
    app.include_router(projects_api.routes(pool, access))
    app.include_router(promo.routes(pool, rules, access))
    app.include_router(audit.routes(pool, access))
    operators = OfOperators(pool, operator_token)
    app.include_router(tokens.routes(issuer or Issuer(pool, None), access, OfServices(internal_token), operators))
    app.include_router(campaigns.routes(pool, operators))
    app.include_router(payments.routes(pool, access, stripe))
    app.include_router(operators_desk.routes(pool, operators, balance))
    return app


def _let_browsers_in(app: FastAPI, rules: Rules) -> None:
    """Addresses from proxies that are trusted, and the console's pages, whose origin may be another than ours."""
    if rules.console_origin is not None:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[rules.console_origin],
            allow_credentials=True,
            allow_methods=["*"],
            allow_headers=["Authorization", "Content-Type", "Tollgate-Organization"],
        )
    if rules.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(rules.trusted_proxies))
