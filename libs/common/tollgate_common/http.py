"""What a service's HTTP side has: health, readiness, metrics, problem details; a server that ends with its tasks."""

import asyncio
import contextlib
import logging
import re
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Generator
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException

from tollgate_common.errors import Problem
from tollgate_common.private_api import require

require(uvicorn.Server, "capture_signals")

PROBLEM_TYPE = "application/problem+json"
# Longer than clients and load balancers keep an idle connection (5 s in httpx, 60 s in most balancers): a server that
# closes first breaks the request that a client is just sending on it.
KEEP_ALIVE_S = 75
READY_POLL_S = 0.05

log = logging.getLogger(__name__)


def create_app(
    title: str,
    *,
    ready: Callable[[], str | None],
    is_public: bool = False,
    metrics: CollectorRegistry = REGISTRY,
) -> FastAPI:
    """A FastAPI application with the routes that Kubernetes and operators expect.

    Args:
        title: the service's name in its OpenAPI document.
        ready: None when the service can work, otherwise what it waits for.
        is_public: every path can be reached by strangers, so that there are no metrics and no document.
        metrics: what `/metrics` tells.
    """
    documents = None if is_public else "/docs"
    openapi = None if is_public else "/openapi.json"
    app = FastAPI(title=title, version="0.1.0", docs_url=documents, openapi_url=openapi, redoc_url=None)
    app.add_exception_handler(Problem, _render_problem)
    app.add_exception_handler(RequestValidationError, _render_invalid)
    app.add_exception_handler(HTTPException, _render_http_exception)

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> JSONResponse:
        waiting_for = ready()
        if waiting_for is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "waiting", "for": waiting_for}, HTTPStatus.SERVICE_UNAVAILABLE)

    if not is_public:

        @app.get("/metrics", include_in_schema=False)
        async def tell_metrics() -> Response:
            return Response(generate_latest(metrics), media_type=CONTENT_TYPE_LATEST)

    return app


def problem_response(problem: Problem, instance: str) -> JSONResponse:
    """RFC 9457 problem details; `field` and `code` are extension members."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "instance": instance,
    }
    if problem.field is not None:
        body["field"] = problem.field
    return JSONResponse(body, problem.status, problem.headers, PROBLEM_TYPE)


def store_unavailable() -> Problem:
    """503: the service's own store does not answer."""
    detail = "the service's store does not answer; try again in a moment"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "store_unavailable", detail, headers={"Retry-After": "1"})


def expect_stores_away(app: FastAPI, *errors: type[Exception]) -> None:
    """Answer 503 wherever a route raises one of `errors`, which tell that a store does not answer; it is logged."""
    for error in errors:
        app.add_exception_handler(error, _render_store_away)


async def _render_store_away(request: Request, error: Exception) -> JSONResponse:
    log.error("a store did not answer: %s", error)
    return problem_response(store_unavailable(), request.url.path)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How the OpenAPI document tells of the answers that are RFC 9457 problems."""
    return {status: {"description": HTTPStatus(status).phrase, "content": {PROBLEM_TYPE: {}}} for status in statuses}


async def _render_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return problem_response(error, request.url.path)


async def _render_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    field, why = first_invalid(error)
    problem = Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_input", f"{field}: {why}", field=field)
    return problem_response(problem, request.url.path)


def first_invalid(error: RequestValidationError) -> tuple[str, str]:
    """The name of the first input that is wrong, and what would be right."""
    first = error.errors()[0]
    where, *names = first["loc"]
    # The first part of a location is where it was looked for: body, query, path or header. What is no JSON at all has
    # no names in it, only the offset at which it breaks.
    field = where if first["type"] == "json_invalid" else ".".join(map(str, names)) or where
    return field, first["msg"]


BodyT = TypeVar("BodyT", bound=msgspec.Struct)


def json_body(of: type[BodyT]) -> Callable[[Request], Awaitable[BodyT]]:
    """A dependency that decodes the request's body with msgspec and rejects an invalid one with status 422."""
    decoder = msgspec.json.Decoder(of)

    async def read(request: Request) -> BodyT:
        try:
            return decoder.decode(await request.body())
        except msgspec.ValidationError as error:
            field, reason = _first_mismatch(str(error))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            field, reason = "body", str(error)
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_input", f"{field}: {reason}", field=field)

    return read


# msgspec's messages end with the place, "... - at `$.budgets[0].period`". They name a missing or unknown field first.
_AT = re.compile(r"^(.*?)(?: - at `\$(.*)`)?$", re.DOTALL)
_NAMED = re.compile(r"(?:missing required|contains unknown) field `([^`]*)`")


def _first_mismatch(message: str) -> tuple[str, str]:
    match = _AT.match(message)
    assert match is not None
    reason, place = match[1], match[2] or ""
    names = [name for name in re.split(r"[.\[\]]+", place) if name]
    if named := _NAMED.search(reason):
        names.append(named[1])
    return ".".join(names) or "body", reason


async def _render_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers) if error.headers else None
    code = HTTPStatus(error.status_code).name.lower()
    return problem_response(Problem(error.status_code, code, str(error.detail), headers=headers), request.url.path)


async def run_service(
    app: Callable[..., Any],
    host: str,
    port: int,
    *workers: Coroutine[None, None, None],
    drain_s: float = 10.0,
    listening: socket.socket | None = None,
    waiting_for: Callable[[], str | None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then let requests finish for at most `drain_s` and cancel the workers.

    With a bound socket in `listening`, serve on that; and only once there is nothing to wait for, because it shares its
    port with others that can serve already.

    Raises:
        whatever a worker raises, or RuntimeError if one just ends. The end of any worker is the end of the process: a
        consumer that died must not hide behind a health check that still answers.
    """
    server = _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(drain_s),
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    serving = asyncio.create_task(server.serve_when_ready(listening, waiting_for))
    working = [asyncio.create_task(worker) for worker in workers]
    try:
        await asyncio.wait([serving, *working], return_when=asyncio.FIRST_COMPLETED)
        ended = [task for task in working if task.done()]
        server.stop()
        await serving
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    for task in ended:
        task.result()
        raise RuntimeError(f"{task.get_coro()} ended although the service still ran")


class _Server(uvicorn.Server):
    """uvicorn's own handling raises the signal again when it has stopped, and so kills the process before its workers
    could finish; here a signal only asks the server to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def serve_when_ready(self, listening: socket.socket | None, waiting_for: Callable[[], str | None]) -> None:
        while waiting_for() is not None and not self.should_exit:  # noqa: ASYNC110 - it waits for things of many kinds
            await asyncio.sleep(READY_POLL_S)
        if not self.should_exit:
            await self.serve(None if listening is None else [listening])

    def stop(self) -> None:
        self.should_exit = True
