"""Builds the HTTP application from the routers of its topics."""

from collections.abc import Callable

import psycopg
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from pydantic import SecretStr
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from tollgate_accounts.audit import api as audit
from tollgate_accounts.identity import api as identity
from tollgate_accounts.identity import proofs_api
from tollgate_accounts.identity.handlers import IdentityContext
from tollgate_accounts.identity.passwords import Passwords
from tollgate_accounts.keys import api as keys
from tollgate_accounts.keys import projects_api
from tollgate_accounts.operators import api as operators
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
    """Build the application.

    Args:
        pool: connections to the accounts database.
        passwords: hashes and verifies passwords.
        ready: returns None when the service is ready, otherwise what it is waiting for.
        rules: the deployment's settings for sign-up, sign-in and limits.
        issuer: signs access tokens. Without it, the service issues none.
        internal_token: the secret that services share. Without it, the service rejects every service.
        operator_token: the shared secret of operators. Without it, only persons who are operators have access.
        stripe: takes card payments. Without it, card payments are disabled.
        balance: reads balances for operators. Without it, balances are unavailable.
    """
    app = create_app("Tollgate accounts", ready=ready)
    expect_stores_away(app, psycopg.OperationalError)
    _add_middleware(app, rules)
    app.state.pool = pool
    app.state.rules = rules
    app.state.identity = IdentityContext(pool, passwords, rules)
    app.state.issuer = issuer or Issuer(pool, None)
    app.state.internal_token = internal_token
    app.state.operator_token = operator_token
    app.state.stripe = stripe
    app.state.balance = balance
    for topic in (
        identity,
        proofs_api,
        organizations,
        members_api,
        keys,
        projects_api,
        promo,
        audit,
        tokens,
        campaigns,
        payments,
        operators,
    ):
        app.include_router(topic.router)
    return app


def _add_middleware(app: FastAPI, rules: Rules) -> None:
    """Trust the configured proxies' client addresses, and allow requests from the console's origin."""
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
