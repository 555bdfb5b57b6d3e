"""The endpoints off the hot path: model listings, health and metrics, and errors for unknown paths."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException

from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.clock import utc_now
from tollgate_common.events import KeyRecord, ModelRecord
from tollgate_common.http import create_app
from tollgate_common.money import divide_half_up
from tollgate_common.rating import BASIS_POINTS, CLASSES, TOKENS_PER_PRICE, Prices
from tollgate_edge.auth.api_keys import authenticate, credentials
from tollgate_edge.endpoints.messages import error_body
from tollgate_edge.http.errors import ApiError, unknown_model, unknown_path, wrong_method
from tollgate_edge.pricing.catalog import Catalog, Tariff
from tollgate_edge.rate_limits.limiter import RateLimiter
from tollgate_edge.routing.router import Router

# The capability that each separately priced class implies.
_CAPABILITIES = {
    "output": "text",
    "cached_input": "prompt_caching",
    "audio_input": "audio_input",
    "image_input": "image_input",
    "audio_output": "audio_output",
    "image_output": "image_output",
    "images": "image_output",
    "audio_seconds": "transcription",
    "characters": "speech",
    "searches": "rerank",
}


class ModelOffer(NamedTuple):
    """A model that the caller may use, and its tariff."""

    model: ModelRecord
    tariff: Tariff


def create_api(
    keys: KeyDirectory,
    catalog: Catalog,
    router: Router,
    rate_limiter: RateLimiter,
    *,
    ready: Callable[[], str | None],
    metrics: CollectorRegistry,
) -> FastAPI:
    """Build the FastAPI application.

    Args:
        keys: API keys, for authentication.
        catalog: models and prices.
        router: decides which models have a target.
        rate_limiter: checks whether a key may be used.
        ready: returns None if the edge can serve, otherwise the reason that it cannot.
        metrics: registry that `/metrics` exposes.
    """
    app = create_app("Tollgate edge", ready=ready, metrics=metrics)
    app.add_exception_handler(ApiError, _render_error)
    app.add_exception_handler(HTTPException, _render_http_exception)

    def available_models(request: Request) -> dict[str, ModelOffer]:
        """Return the models that the caller's key may call now."""
        now = utc_now()
        key = authenticate(keys, credentials(dict(request.headers.raw)), now)
        rate_limiter.check(key, request.scope)
        return {
            name: ModelOffer(model, tariff)
            for name, model in sorted(catalog.models.items())
            if not model.quarantined
            and _may_call(key, name)
            and (tariff := catalog.tariff(model, key.plan, now, required_classes=())) is not None
            and router.routes.find(name, model.provider)
        }

    @app.get("/v1/models/", include_in_schema=False)
    @app.get("/v1/models")
    async def list_models(request: Request) -> dict[str, Any]:
        offers = available_models(request)
        if not _is_anthropic_client(request):
            return {"object": "list", "data": [_openai_listing(offer) for offer in offers.values()]}
        names = list(offers)
        page = {"has_more": False, "first_id": names[0] if names else None, "last_id": names[-1] if names else None}
        return {"data": [_anthropic_listing(offer) for offer in offers.values()], **page}

    @app.get("/v1/models/{name:path}")
    async def show_model(request: Request, name: str) -> dict[str, Any]:
        offer = available_models(request).get(router.routes.canonical(name))
        if offer is None:
            raise unknown_model(name)
        return _anthropic_listing(offer) if _is_anthropic_client(request) else _openai_listing(offer)

    return app


def _is_anthropic_client(request: Request) -> bool:
    """Whether an Anthropic SDK sent the request: OpenAI's API has the same path."""
    return "anthropic-version" in request.headers


def _may_call(key: KeyRecord, model: str) -> bool:
    return key.models is None or model in key.models


def _openai_listing(offer: ModelOffer) -> dict[str, Any]:
    """Build a listing in OpenAI's format, with limits, capabilities and prices added.

    The prices are those of the caller's plan, in nano-units per million tokens or units.
    """
    model = offer.model
    prices = offer.tariff.price.prices
    priced = [_CAPABILITIES[name] for name in _CAPABILITIES if getattr(prices, name) is not None]
    return {
        "id": model.model,
        "object": "model",
        "created": int(model.versions[0].valid_from.timestamp()),
        "owned_by": model.provider,
        "context_length": model.context_tokens,
        "max_output_tokens": model.max_output_tokens,
        "capabilities": sorted({*priced, *model.capabilities}),
        "pricing": _pricing(offer.tariff),
    }


def _anthropic_listing(offer: ModelOffer) -> dict[str, Any]:
    """Build a listing in Anthropic's format (docs.anthropic.com/en/api/models-list), with prices added."""
    model = offer.model
    return {
        "type": "model",
        "id": model.model,
        "display_name": model.model,
        "created_at": model.versions[0].valid_from.isoformat(),
        "lifecycle": "active",
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.max_output_tokens,
        "pricing": _pricing(offer.tariff),
    }


def _pricing(tariff: Tariff) -> dict[str, Any]:
    prices, bps = tariff.price.prices, tariff.plan.multiplier_bps
    pricing: dict[str, Any] = {"per": TOKENS_PER_PRICE, **_listed_prices(prices, bps)}
    if prices.tiers:
        pricing["tiers"] = [
            {"above_tokens": tier.above_tokens, **_listed_prices(tier.prices, bps)} for tier in prices.tiers
        ]
    return pricing


def _listed_prices(prices: Prices, multiplier_bps: int) -> dict[str, int]:
    prices_by_class = {name: price for name in CLASSES if (price := getattr(prices, name)) is not None}
    prices_by_class["request"] = prices.request_nano
    return {
        f"{name}_nano": divide_half_up(price * multiplier_bps, BASIS_POINTS) for name, price in prices_by_class.items()
    }


async def _render_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    headers = {name.decode(): value.decode() for name, value in error.headers}
    body = error_body(error) if _is_anthropic_client(request) else error.body()
    return Response(body, error.status, headers, "application/json")


async def _render_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "GET")
        return await _render_error(request, wrong_method(request.method, request.url.path, allowed))
    return await _render_error(request, unknown_path(request.method, request.url.path))
