"""`Idempotency-Key`: the first request with a key is served and charged, the others get its answer.

Guarantee: of all requests with the same key of an account within a day, at most one is charged, whatever is killed: an
answer is kept before it is charged, by whoever still holds the claim, and a claim passes to another only from an edge
that was fenced before it kept one. Crash window: an edge that dies between the two has kept an answer that nobody pays.
A stream whose client leaves before its first byte has no answer to repeat. Its prompt is charged as without a key, and
the next request with the key is a first one.

Only a request with the header makes these calls. The reasons are in
docs/decisions/0011-store-idempotent-responses-before-charging.md.
"""

import asyncio
import base64
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from http import HTTPStatus
from typing import Protocol

import msgspec

from tollgate_common.retries import backoff, retry
from tollgate_edge.credit.leases.client import LeaseClient, LeaseError, NoAnswer
from tollgate_edge.http.errors import SERVER_ERROR, ApiError, Header
from tollgate_edge.http.forms import without_boundary
from tollgate_edge.http.request_context import RequestContext
from tollgate_edge.idempotency.encryption import Seal, StoredResponse

log = logging.getLogger(__name__)

HEADER = b"idempotency-key"
MAX_KEY_BYTES = 255
# Between two attempts of a call, and two looks at a claim that another request has.
_FIRST_DELAY_S, _MAX_DELAY_S = 0.1, 1.0
# How long to try to keep an answer before it is given away uncharged.
KEEP_TIMEOUT_S = 5.0
# How long after it was given up a claim may still come through.
LATEST_CLAIM_S = 30.0
_RETRY_AFTER = ((b"retry-after", b"5"),)


class _ClaimAnswer(msgspec.Struct):
    state: str
    answer: str | None = None


class _KeepAnswer(msgspec.Struct):
    kept: bool


_claim_decoder = msgspec.json.Decoder(_ClaimAnswer)
_keep_decoder = msgspec.json.Decoder(_KeepAnswer)


class Claim:
    """A request that serves its idempotency key; it must `release` in the end."""

    def __init__(self, owner: "SharedClaims", client: LeaseClient, seal: Seal, context: RequestContext) -> None:
        self._owner = owner
        self._client = client
        self._seal = seal
        self._context = context
        self._is_charged = False

    @property
    def has_begun(self) -> bool:
        """Whether the client has been sent any of the response, so that there is something to repeat."""
        return any(self._context.captured_body or ())

    async def keep(self, rest: bytes) -> bool:
        """Keep what the client has been sent, and `rest`, which it will be. False if it must not be charged.

        Too large an answer is kept as that: it is charged, and a repeat is told so. An empty answer is not kept.
        """
        context = self._context
        body: bytes | None = b"".join(context.captured_body or ()) + rest
        if not body:
            return False
        if body is not None and len(body) > self._owner.max_answer_bytes:
            body = None
        answer = StoredResponse(HTTPStatus.OK, context.content_type, context.request_id, body)
        content = {"token": context.request_id, "answer": base64.b64encode(self._seal.close(answer)).decode()}
        try:
            found = await retry(
                partial(self._client.send, "PUT", f"/idempotency/{self._seal.claim_id}/answer", content),
                "storing a response",
                NoAnswer,
                first_delay_s=_FIRST_DELAY_S,
                max_delay_s=_MAX_DELAY_S,
                timeout_s=KEEP_TIMEOUT_S,
            )
        except LeaseError as error:
            log.error("an answer was not kept and is not charged: %s", error)  # noqa: TRY400 - it tells all
            return False
        self._is_charged = _keep_decoder.decode(found).kept
        return self._is_charged

    def release(self) -> None:
        """If nothing was charged, the next request with this key is a first one."""
        if not self._is_charged:
            self._owner.release_soon(self._seal.claim_id, self._context.request_id)


class Claims(Protocol):
    async def take(
        self, context: RequestContext, account_id: str, api_key: bytes, body: bytes
    ) -> Claim | StoredResponse | None:
        """The claim of a request that is to be served, or the answer of the first one; None without the header.

        Raises:
            ApiError: neither is to be had.
        """


class SharedClaims:
    """Of all edges, at the balance service."""

    def __init__(
        self, client: LeaseClient, boot_id: Callable[[], str], *, wait_s: float, max_answer_bytes: int
    ) -> None:
        """Build it.

        Args:
            client: asks the balance service.
            boot_id: of this edge's leases: when that is fenced, its claims are free.
            wait_s: how long a request may wait for the first one's answer.
            max_answer_bytes: what is larger is not kept.
        """
        self._client = client
        self._boot_id = boot_id
        self._wait_s = wait_s
        self.max_answer_bytes = max_answer_bytes
        self._releasing: set[asyncio.Task[None]] = set()

    def release_soon(self, claim_id: str, token: str) -> None:
        """Free a claim, however long that takes: as long as this edge lives, nobody else could. A claim that has its
        answer stays."""
        self._begin(self._release(claim_id, token))

    def _begin(self, releasing: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(releasing)
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)

    async def _release_twice(self, claim_id: str, token: str) -> None:
        """Free a claim that was given up while it was on its way: it may come through after it has been freed."""
        await self._release(claim_id, token)
        await asyncio.sleep(LATEST_CLAIM_S)
        await self._release(claim_id, token)

    async def _release(self, claim_id: str, token: str) -> None:
        try:
            await retry(
                partial(self._client.send, "POST", f"/idempotency/{claim_id}/release", {"token": token}),
                "releasing an idempotency key",
                NoAnswer,
                first_delay_s=_FIRST_DELAY_S,
                max_delay_s=_MAX_DELAY_S,
            )
        except LeaseError as error:
            log.error("a claim is not released: %s", error)  # noqa: TRY400 - it tells all

    async def take(
        self, context: RequestContext, account_id: str, api_key: bytes, body: bytes
    ) -> Claim | StoredResponse | None:
        key = context.headers.get(HEADER)
        if key is None:
            return None
        seal = Seal(account_id, api_key, _checked(key))
        asked = without_boundary(body, context.headers.get(b"content-type", b""))
        content = {
            "boot_id": self._boot_id(),
            "token": context.request_id,
            "fingerprint": seal.fingerprint(context.path, asked),
        }
        client = context.watch_client()
        try:
            with client:
                found = await self._ask(seal, content)
        except BaseException:
            # Whether it was claimed in the last moment, or still will be, is not known.
            self._begin(self._release_twice(seal.claim_id, context.request_id))
            raise
        finally:
            client.stop()
        if found.answer is None:
            context.captured_body = []
            return Claim(self, self._client, seal, context)
        answer = seal.open(base64.b64decode(found.answer))
        if answer is None:
            raise _mismatch()
        if answer.body is None:
            raise _conflict(f"has had its answer, which was too large to be kept: request {answer.request_id}", ())
        return answer

    async def _ask(self, seal: Seal, content: dict[str, str]) -> _ClaimAnswer:
        """Ask until this request is the one that serves, or the answer is there."""
        deadline, delays = time.monotonic() + self._wait_s, backoff(_FIRST_DELAY_S, _MAX_DELAY_S)
        while True:
            try:
                found = _claim_decoder.decode(await self._client.send("PUT", f"/idempotency/{seal.claim_id}", content))
            except LeaseError as error:
                log.warning("an idempotency key cannot be claimed: %s", error)
                raise _unavailable() from error
            if found.state == "mismatch":
                raise _mismatch()
            if found.state != "running":
                return found
            if time.monotonic() > deadline:
                raise _conflict("belongs to a request that is still under way", _RETRY_AFTER)
            await asyncio.sleep(next(delays))


class NoClaims:
    """Where there is no balance service nobody can keep what the header promises."""

    async def take(self, context: RequestContext, account_id: str, api_key: bytes, body: bytes) -> None:  # noqa: ARG002 - see above
        if HEADER in context.headers:
            message = "This gateway runs without a balance service and keeps no answers: leave the Idempotency-Key out."
            raise ApiError(HTTPStatus.BAD_REQUEST, message, code="idempotency_unavailable")


def _checked(key: bytes) -> bytes:
    if not 0 < len(key) <= MAX_KEY_BYTES:
        message = f"Invalid Idempotency-Key: expected 1 to {MAX_KEY_BYTES} bytes, but got {len(key)}."
        raise ApiError(HTTPStatus.BAD_REQUEST, message, code="invalid_idempotency_key")
    return key


def _mismatch() -> ApiError:
    message = "This Idempotency-Key was used within a day for another request, or with another API key of your account."
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, message, code="idempotency_key_reused")


def _conflict(what: str, headers: Sequence[Header]) -> ApiError:
    # Without a time to come again at, a retry of the SDK's would meet the same.
    headers = headers or ((b"x-should-retry", b"false"),)
    message = f"This Idempotency-Key {what}."
    return ApiError(HTTPStatus.CONFLICT, message, code="idempotency_key_in_use", headers=headers)


def _unavailable() -> ApiError:
    return ApiError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "This gateway cannot look up your Idempotency-Key now; it serves nothing twice.",
        error_type=SERVER_ERROR,
        code="idempotency_unavailable",
        headers=_RETRY_AFTER,
    )
