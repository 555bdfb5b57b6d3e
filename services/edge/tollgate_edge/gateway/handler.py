"""Calls of models, as an ASGI application: who may call what, and at which price; `relay` does the rest."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from tollgate_common.auth.key_directory import KeyDirectory
from tollgate_common.events import REASONING, KeyRecord, ModelRecord, RequestDimensions
from tollgate_edge.auth.api_keys import authenticate, credentials
from tollgate_edge.credit.admission import Admission
from tollgate_edge.credit.cost_bounds import Size
from tollgate_edge.credit.leases.state import Payer
from tollgate_edge.credit.reservation import OutputReservation, reserve_nothing, reserve_stream, reserve_whole
from tollgate_edge.endpoints import ENDPOINTS
from tollgate_edge.endpoints.base import ModelRequest
from tollgate_edge.event_log.request_events import RequestMeter, client_of
from tollgate_edge.event_log.rotation import RotatingEventWriter
from tollgate_edge.gateway.admitted_request import AdmittedRequest
from tollgate_edge.gateway.relay import relay_stream, relay_whole
from tollgate_edge.http.errors import (
    ApiError,
    ClientGone,
    Header,
    event_log_unavailable,
    internal_error,
    model_not_priced,
    model_quarantined,
    not_offered,
    not_ready,
    unknown_model,
)
from tollgate_edge.http.request_context import Receive, RequestContext, Scope, Send
from tollgate_edge.idempotency.claims import Claims
from tollgate_edge.idempotency.encryption import StoredResponse
from tollgate_edge.observability.metrics import EdgeCounts
from tollgate_edge.pricing.catalog import Catalog, Tariff
from tollgate_edge.rate_limits.limiter import RateLimiter
from tollgate_edge.routing.retries import Attempts
from tollgate_edge.routing.router import Router
from tollgate_edge.routing.routes import Target

log = logging.getLogger(__name__)

SETTLE_TIMEOUT_S = 5.0


class ModelCalls:
    def __init__(
        self,
        keys: KeyDirectory,
        catalogue: Catalog,
        admission: Admission,
        writer: RotatingEventWriter,
        *,
        router: Router,
        rate_limiter: RateLimiter,
        claims: Claims,
        counts: EdgeCounts,
        first_output_tokens: int,
    ) -> None:
        """Wire the endpoints.

        Args:
            keys: who may call.
            catalogue: what may be called, and at which price.
            admission: who has credit.
            writer: where events go.
            router: which targets answer for a model.
            rate_limiter: what each key may do.
            claims: who serves an idempotency key.
            counts: what an operator watches.
            first_output_tokens: of a streamed choice, reserved at once and each time after.
        """
        self._keys = keys
        self._catalogue = catalogue
        self._admission = admission
        self._writer = writer
        self._router = router
        self._rate_limiter = rate_limiter
        self._claims = claims
        self._first_output_tokens = first_output_tokens
        self._counts = counts
        self._is_idle = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = RequestContext(scope, receive, send)
        context.error_format = ENDPOINTS[context.path].error_format
        self._counts.arrived()
        try:
            key = authenticate(self._keys, credentials(context.headers), context.arrived_at)
            with AdmittedRequest(self._rate_limiter.admit(key, context)) as admitted:
                await self._serve(context, key, admitted)
        except ClientGone:
            log.debug("request %s: the client left", context.request_id)
        except ApiError as error:
            await context.fail(error)
        except Exception:
            log.exception("request %s failed", context.request_id)
            await context.fail(internal_error())
        finally:
            self._counts.answered(context.path, context.status, context.first_byte_ms)
            if not self._counts.running:
                self._is_idle.set()

    async def until_idle(self) -> None:
        """Wait until the requests that the server has cancelled have said what they used."""
        self._is_idle.clear()
        if self._counts.running:
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_TIMEOUT_S):
                    await self._is_idle.wait()

    async def _serve(self, context: RequestContext, key: KeyRecord, admitted: AdmittedRequest) -> None:
        body = await context.body(admitted.permit.max_body_bytes)
        api_key = credentials(context.headers)
        claim = await self._claims.take(context, key.account_id, api_key, body)
        if isinstance(claim, StoredResponse):
            await context.answer(claim.status, claim.body or b"", claim.content_type, _repeated(claim))
            return
        admitted.claim = claim
        await self._start(context, key, admitted, body)
        try:
            await (relay_stream if admitted.request.stream else relay_whole)(context, admitted)
        finally:
            served_by = admitted.attempts.served_by
            self._counts.attempted(admitted.attempts.failed, served_by)
            if admitted.is_usage_impossible and served_by is not None:
                self._counts.stated_impossible_usage(served_by.connection.provider_name)

    async def _start(self, context: RequestContext, key: KeyRecord, admitted: AdmittedRequest, body: bytes) -> None:
        """Check that the request may be served, and reserve what it may cost.

        Raises:
            ApiError: it may not be served; nothing is recorded.
        """
        request = ENDPOINTS[context.path].parse(body, context.headers)
        model, targets = self._find(request, key)
        tariff = self._catalogue.tariff(model, key.plan, context.arrived_at, ())
        if tariff is None or not tariff.has_prices(request.required_prices(tariff.price.prices)):
            raise model_not_priced(request.model)
        refusal = self._writer.refusal()
        if refusal is not None:
            raise event_log_unavailable(refusal)
        size = request.size(model.context_tokens).within(model.max_output_tokens)
        admitted.permit.reserve_tokens(size.likely_tokens)
        dimensions = _dimensions(context, key, request, model)
        grows = request.reserves_incrementally and not _hides_tokens(model, tariff)
        payer = Payer(key.account_id, key.budgets)
        reservation = await self._reserve(request, size, tariff, payer, grows=grows)
        # Nothing is awaited between the reservation and its owner.
        admitted.reservation = reservation
        attempts = Attempts(targets, self._router.routes.retries)
        upstream = request.to_provider(None if request.stream and grows else reservation.limit_tokens)
        reasons = REASONING in model.capabilities
        upstream = upstream._replace(max_output_tokens=model.max_output_tokens, reasons=reasons)
        admitted.start(
            request, upstream, attempts, RequestMeter(self._writer, context, tariff, dimensions, attempts=attempts)
        )

    async def _reserve(
        self, request: ModelRequest, size: Size, tariff: Tariff, payer: Payer, *, grows: bool
    ) -> OutputReservation:
        if request.is_free:
            return reserve_nothing(self._admission, payer, tariff, size)
        first = self._first_output_tokens
        if request.stream and grows:
            return await reserve_stream(self._admission, payer, tariff, size, first)
        step = first * size.choices if request.stream and request.reserves_incrementally else 0
        return await reserve_whole(self._admission, payer, tariff, size, first, step_tokens=step)

    def _find(self, request: ModelRequest, key: KeyRecord) -> tuple[ModelRecord, Sequence[Target]]:
        routes = self._router.routes
        # A key that may call a model may do so by any of its names.
        name = routes.canonical(request.model)
        model = self._catalogue.models.get(name)
        if model is None and self._catalogue.topic.waiting_for() is not None:
            raise not_ready()
        if model is None or (key.models is not None and name not in key.models):
            raise unknown_model(request.model)
        if model.quarantined:
            raise model_quarantined(request.model)
        targets = routes.find(name, model.provider, request.operation)
        if not targets:
            if routes.find(name, model.provider):
                raise not_offered(request.model, request.operation)
            raise unknown_model(request.model)
        return model, targets


def _hides_tokens(model: ModelRecord, tariff: Tariff) -> bool:
    """Whether a stream of it may cost what it does not show, so that nothing tells how far it is."""
    return REASONING in model.capabilities or tariff.price.prices.reasoning is not None


def _repeated(kept: StoredResponse) -> tuple[Header, ...]:
    return (b"idempotent-replayed", b"true"), (b"x-original-request-id", kept.request_id.encode())


def _dimensions(
    context: RequestContext, key: KeyRecord, request: ModelRequest, model: ModelRecord
) -> RequestDimensions:
    return RequestDimensions(
        request_id=context.request_id,
        account_id=key.account_id,
        key_id=key.key_id,
        endpoint=context.path,
        model=model.model,
        provider=model.provider,
        stream=request.stream,
        project_id=key.project_id,
        end_user=request.end_user,
        client=client_of(context.headers.get(b"user-agent", b"")),
    )
