"""Calls of models, as an ASGI application: who may call what, and at which price; `relay` does the rest."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from tollgate_common.events import KeyRecord, ModelRecord, RequestDimensions
from tollgate_common.keys import KeyDirectory
from tollgate_edge.admission import Admission
from tollgate_edge.allowance import Allowance, reserve_stream, reserve_whole
from tollgate_edge.auth import authenticate
from tollgate_edge.catalogue import Catalogue, Tariff
from tollgate_edge.endpoints import ENDPOINTS
from tollgate_edge.endpoints.base import ModelRequest
from tollgate_edge.errors import (
    ApiError,
    ClientGone,
    cannot_record,
    internal_error,
    model_not_priced,
    not_offered,
    unknown_model,
)
from tollgate_edge.exchange import Exchange, Receive, Scope, Send
from tollgate_edge.metering import RequestMeter, client_of
from tollgate_edge.providers.base import Provider
from tollgate_edge.relay import Call, relay_stream, relay_whole
from tollgate_edge.rotation import RotatingRecorder

log = logging.getLogger(__name__)

SETTLE_TIMEOUT_S = 5.0


class ModelCalls:
    def __init__(
        self,
        keys: KeyDirectory,
        catalogue: Catalogue,
        admission: Admission,
        recorder: RotatingRecorder,
        providers: Mapping[str, Provider],
        *,
        max_body_bytes: int,
        first_output_tokens: int,
    ) -> None:
        """Wire the endpoints.

        Args:
            keys: who may call.
            catalogue: what may be called, and at which price.
            admission: who has credit.
            recorder: where events go.
            providers: by the name that the catalogue gives them.
            max_body_bytes: a larger request is refused with 413.
            first_output_tokens: of a streamed choice, reserved at once and each time after.
        """
        self._keys = keys
        self._catalogue = catalogue
        self._admission = admission
        self._recorder = recorder
        self._providers = providers
        self._max_body_bytes = max_body_bytes
        self._first_output_tokens = first_output_tokens
        self._running: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        call: Call | None = None
        try:
            call = await self._admit(exchange)
            await (relay_stream if call.request.stream else relay_whole)(exchange, call)
        except ClientGone:
            log.debug("request %s: the client left", exchange.request_id)
        except ApiError as error:
            await exchange.fail(error)
        except Exception:
            log.exception("request %s failed", exchange.request_id)
            await exchange.fail(internal_error())
        finally:
            if call is not None:
                # A request that was recorded has settled it before; one that could not be must not hold it for ever.
                call.allowance.reservation.settle(0)
            self._running.discard(task)

    async def until_idle(self) -> None:
        """Wait until the requests that the server has cancelled have said what they used."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=SETTLE_TIMEOUT_S)

    async def _admit(self, exchange: Exchange) -> Call:
        """Let the request in.

        Raises:
            ApiError: it may not be served; nothing is recorded of it.
        """
        key = authenticate(self._keys, exchange.headers.get(b"authorization", b""), exchange.arrived_at)
        body = await exchange.body(self._max_body_bytes)
        request = ENDPOINTS[exchange.path].parse(body, exchange.headers.get(b"content-type", b""))
        model, provider = self._find(request, key)
        tariff = self._catalogue.tariff(model, key.plan, exchange.arrived_at)
        if tariff is None:
            raise model_not_priced(request.model)
        refusal = self._recorder.refusal()
        if refusal is not None:
            raise cannot_record(refusal)
        dimensions = _dimensions(exchange, key, request, model)
        # The last that can fail: from here on the reservation is the request's to settle.
        allowance = await self._reserve(request, model, tariff, key.account_id)
        meter = RequestMeter(self._recorder, exchange, tariff, dimensions, allowance.reservation)
        upstream = request.to_provider(None if request.stream else allowance.limit_tokens)
        return Call(request, upstream, provider, meter, allowance)

    async def _reserve(self, request: ModelRequest, model: ModelRecord, tariff: Tariff, account_id: str) -> Allowance:
        reserve = reserve_stream if request.stream else reserve_whole
        size = request.size(model.context_tokens)
        return await reserve(self._admission, account_id, tariff, size, self._first_output_tokens)

    def _find(self, request: ModelRequest, key: KeyRecord) -> tuple[ModelRecord, Provider]:
        name = request.model
        model = self._catalogue.models.get(name)
        provider = self._providers.get(model.provider) if model is not None else None
        if model is None or provider is None or (key.models is not None and name not in key.models):
            raise unknown_model(name)
        if request.operation not in provider.operations:
            raise not_offered(name, request.operation)
        return model, provider


def _dimensions(exchange: Exchange, key: KeyRecord, request: ModelRequest, model: ModelRecord) -> RequestDimensions:
    return RequestDimensions(
        request_id=exchange.request_id,
        account_id=key.account_id,
        key_id=key.key_id,
        endpoint=exchange.path,
        model=model.model,
        provider=model.provider,
        stream=request.stream,
        project_id=key.project_id,
        end_user=request.end_user,
        client=client_of(exchange.headers.get(b"user-agent", b"")),
    )
