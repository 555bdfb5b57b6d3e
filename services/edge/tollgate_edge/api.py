"""What is not hot: the models, health, and errors in OpenAI's shape for every path that does not exist."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from tollgate_common.clock import utc_now
from tollgate_common.events import KeyRecord, ModelRecord
from tollgate_common.http import create_app
from tollgate_common.keys import KeyDirectory
from tollgate_edge.auth import authenticate
from tollgate_edge.catalogue import Catalogue
from tollgate_edge.errors import ApiError, unknown_model, unknown_path, wrong_method
from tollgate_edge.limits.gate import Gate
from tollgate_edge.routing.router import Router


def create_api(
    keys: KeyDirectory, catalogue: Catalogue, router: Router, gate: Gate, ready: Callable[[], str | None]
) -> FastAPI:
    """The application behind the hot endpoint.

    Args:
        keys: who may ask.
        catalogue: what there is.
        router: which targets answer for a model.
        gate: what each key may do.
        ready: None when the edge can serve, otherwise what it waits for.
    """
    app = create_app("Tollgate edge", ready=ready)
    app.add_exception_handler(ApiError, _render_error)
    app.add_exception_handler(HTTPException, _render_http_exception)

    def offered(request: Request) -> dict[str, ModelRecord]:
        """The models that the caller's key may call now."""
        now = utc_now()
        key = authenticate(keys, request.headers.get("authorization", "").encode("latin-1"), now)
        gate.check(key, request.scope)
        return {
            name: model
            for name, model in sorted(catalogue.models.items())
            if not model.quarantined
            and _may_call(key, name)
            and catalogue.tariff(model, key.plan, now, uses=())
            and router.routes.find(name, model.provider)
        }

    @app.get("/v1/models")
    async def list_models(request: Request) -> dict[str, Any]:
        return {"object": "list", "data": [_listing(model) for model in offered(request).values()]}

    @app.get("/v1/models/{name:path}")
    async def show_model(request: Request, name: str) -> dict[str, Any]:
        model = offered(request).get(router.routes.canonical(name))
        if model is None:
            raise unknown_model(name)
        return _listing(model)

    return app


def _may_call(key: KeyRecord, model: str) -> bool:
    return key.models is None or model in key.models


def _listing(model: ModelRecord) -> dict[str, Any]:
    created = int(model.versions[0].valid_from.timestamp())
    return {"id": model.model, "object": "model", "created": created, "owned_by": model.provider}


async def _render_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    headers = {name.decode(): value.decode() for name, value in error.headers}
    return Response(error.body(), error.status, headers, "application/json")


async def _render_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "GET")
        return await _render_error(request, wrong_method(request.method, request.url.path, allowed))
    return await _render_error(request, unknown_path(request.method, request.url.path))
