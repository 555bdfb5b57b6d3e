"""The HTTP application: the session, the requests that are forwarded to the services, and the pages."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from tollgate_common.http import create_app
from tollgate_console import problems
from tollgate_console.guard import SAFE_METHODS, SecurityHeaders, SessionCookie, require_own_page
from tollgate_console.pages import Pages
from tollgate_console.proxy import forward
from tollgate_console.routes import find_route
from tollgate_console.services import Services
from tollgate_console.session import Sessions


@dataclass(frozen=True)
class Console:
    """The parts of the console that routes use, in `app.state.console`."""

    pages: Pages
    services: Services
    cookie: SessionCookie
    sessions: Sessions
    origin: str
    api_url: str


router = APIRouter()


def build_app(pages: Pages, services: Services, *, origin: str, api_url: str) -> FastAPI:
    """Build the application.

    Args:
        pages: the web application's files.
        services: the client of the services.
        origin: the console's origin, as browsers send it.
        api_url: the base URL that customers give their SDKs.
    """
    app = create_app("Tollgate console", ready=lambda: None, is_public=True)
    cookie = SessionCookie(is_https=origin.startswith("https://"))
    app.add_middleware(SecurityHeaders, is_https=cookie.is_https)
    app.state.console = Console(pages, services, cookie, Sessions(services, cookie), origin, api_url)
    app.include_router(router)
    return app


# The dependencies are coroutines because FastAPI runs plain functions in a thread pool.
async def console_of(request: Request) -> Console:
    console: Console = request.app.state.console
    return console


ConsoleOf = Annotated[Console, Depends(console_of)]


async def own_page(request: Request, console: ConsoleOf) -> None:
    """Reject a change that does not come from a page of the console; see `require_own_page`."""
    require_own_page(request, console.origin)


OwnPage = Depends(own_page)


@router.get("/api/session")
async def describe_session(request: Request, console: ConsoleOf) -> Response:
    return await console.sessions.describe(request, console.api_url)


@router.post("/api/session", dependencies=[OwnPage])
async def sign_in(request: Request, console: ConsoleOf) -> Response:
    return await console.sessions.begin(request)


@router.delete("/api/session", dependencies=[OwnPage])
async def sign_out(request: Request, console: ConsoleOf) -> Response:
    return await console.sessions.end(request)


@router.api_route("/api/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def forward_request(request: Request, path: str, console: ConsoleOf) -> Response:
    route = find_route(request.method, path)
    if route is None:
        raise problems.request_not_forwarded()
    require_own_page(request, console.origin)
    session = console.cookie.read(request)
    response = await forward(console.services, route, request, session)
    if session is not None and request.method not in SAFE_METHODS:
        # The request may have switched the session to another organization.
        console.services.forget(session)
    return response


@router.get("/assets/{name}")
async def asset(request: Request, name: str, console: ConsoleOf) -> Response:
    return console.pages.asset(name, request) or Response("this file does not exist", HTTPStatus.NOT_FOUND)


@router.api_route("/{path:path}", methods=["GET", "HEAD"])
async def page(request: Request, console: ConsoleOf) -> Response:
    return console.pages.index(request)
