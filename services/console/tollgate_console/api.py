"""HTTP: the pages, the session, and what is passed on to the services."""

from http import HTTPStatus

from fastapi import FastAPI, Request, Response

from tollgate_common.http import create_app
from tollgate_console import problems
from tollgate_console.guard import SAFE_METHODS, SecurityHeaders, SessionCookie, require_own_page
from tollgate_console.pages import Pages
from tollgate_console.proxy import forward
from tollgate_console.routes import find_route
from tollgate_console.services import Services
from tollgate_console.session import Sessions


def build_app(pages: Pages, services: Services, *, origin: str, api_url: str) -> FastAPI:
    """Put it together.

    Args:
        pages: the web application.
        services: who answers its calls.
        origin: of the console, as browsers tell it.
        api_url: what customers give their SDKs.
    """
    is_https = origin.startswith("https://")
    app = create_app("Tollgate console", ready=lambda: None, is_public=True)
    app.add_middleware(SecurityHeaders, is_https=is_https)
    cookie = SessionCookie(is_https)
    _session_routes(app, Sessions(services, cookie), origin, api_url)

    @app.api_route("/api/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    async def call(request: Request, path: str) -> Response:
        route = find_route(request.method, path)
        if route is None:
            raise problems.no_such_call()
        require_own_page(request, origin)
        session = cookie.read(request)
        response = await forward(services, route, request, session)
        if session is not None and request.method not in SAFE_METHODS:
            # It may have changed which organization the session is in.
            services.forget(session)
        return response

    @app.get("/assets/{name}")
    async def asset(request: Request, name: str) -> Response:
        return pages.asset(name, request) or Response("there is no such file", HTTPStatus.NOT_FOUND)

    @app.api_route("/{path:path}", methods=["GET", "HEAD"])
    async def page(request: Request) -> Response:
        return pages.index(request)

    return app


def _session_routes(app: FastAPI, sessions: Sessions, origin: str, api_url: str) -> None:
    @app.get("/api/session")
    async def who(request: Request) -> Response:
        return await sessions.describe(request, api_url)

    @app.post("/api/session")
    async def sign_in(request: Request) -> Response:
        require_own_page(request, origin)
        return await sessions.begin(request)

    @app.delete("/api/session")
    async def sign_out(request: Request) -> Response:
        require_own_page(request, origin)
        return await sessions.end(request)
