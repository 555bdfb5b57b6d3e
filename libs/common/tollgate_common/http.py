"""HTTP basics of a service: health, readiness, metrics, problem details, and a server that stops with its workers."""

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
# Longer than clients and load balancers keep an idle connection (5 s in httpx, 60 s in most balancers). If the server
# closed it first, a request that a client is just sending would fail.
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
    """Return a FastAPI application with the routes that Kubernetes and operators use.

    Args:
        title: the service's name in its OpenAPI document.
        ready: returns None if the service is ready, otherwise what it waits for.
        is_public: anybody can reach every path, so the application has no metrics and no OpenAPI document.
        metrics: the metrics at `/metrics`.
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
        async def read_metrics() -> Response:
            return Response(generate_latest(metrics), media_type=CONTENT_TYPE_LATEST)

    return app


def problem_response(problem: Problem, instance: str) -> JSONResponse:
    """Render RFC 9457 problem details. `field` and `code` are extension members."""
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
    """Return a 503: the service's own store is unavailable."""
    detail = "the service's store is unavailable; try again in a moment"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "store_unavailable", detail, headers={"Retry-After": "1"})


def expect_stores_away(app: FastAPI, *errors: type[Exception]) -> None:
    """Log `errors` of an unavailable store that a route raises, and respond with 503."""
    for error in errors:
        app.add_exception_handler(error, _render_store_away)


async def _render_store_away(request: Request, error: Exception) -> JSONResponse:
    log.error("a store is unavailable: %s", error)
    return problem_response(store_unavailable(), request.url.path)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI documentation of responses that are RFC 9457 problems."""
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
    """Return the name of the first invalid input, and what is expected."""
    first = error.errors()[0]
    where, *names = first["loc"]
    # A location begins with body, query, path or header. The location of invalid JSON has no names, only the offset of
    # the error.
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
    """Serve until SIGTERM or SIGINT. Then let requests finish for at most `drain_s` seconds, and cancel the workers.

    If `listening` is a bound socket, serve on it once `waiting_for` returns None. The socket shares its port with other
    processes, which may be ready earlier.

    Raises:
        Exception: any error of a worker.
        RuntimeError: a worker returned. The end of a worker ends the process, so that a dead consumer does not go
            unnoticed behind a health check that still responds.
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
        raise RuntimeError(f"the worker {task.get_coro()} returned while the service was running")


class _Server(uvicorn.Server):
    """A server that a signal only stops.

    uvicorn raises the signal again after it has stopped, which would kill the process before its workers finish.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def serve_when_ready(self, listening: socket.socket | None, waiting_for: Callable[[], str | None]) -> None:
        while waiting_for() is not None and not self.should_exit:  # noqa: ASYNC110 - there is no single event to wait for
            await asyncio.sleep(READY_POLL_S)
        if not self.should_exit:
            await self.serve(None if listening is None else [listening])

    def stop(self) -> None:
        self.should_exit = True
