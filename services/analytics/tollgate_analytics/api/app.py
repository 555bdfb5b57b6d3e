"""The HTTP application: the routers of this service, with their dependencies."""

from typing import Any

from fastapi import FastAPI

from tollgate_analytics.api import live, openai, operators, requests, usage
from tollgate_analytics.api.dependencies import Services
from tollgate_analytics.api.errors import install_error_handlers
from tollgate_common.http import create_app

CUSTOMER_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "a parameter is invalid; `field` names it"},
    401: {"description": "no valid API key or access token"},
    429: {"description": "the account has too many running queries"},
}


def build_app(services: Services) -> FastAPI:
    app = create_app("Tollgate analytics", ready=services.waiting_for)
    services.install(app)
    install_error_handlers(app)
    app.include_router(usage.router, responses=CUSTOMER_ERRORS)
    app.include_router(requests.router, responses=CUSTOMER_ERRORS)
    app.include_router(openai.router)
    app.include_router(live.router)
    app.include_router(operators.router)
    return app
