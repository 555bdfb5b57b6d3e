"""`Idempotency-Key`: the first request with a key is served and charged; the others get its response.

Guarantee: at most one request with the same key of an account is charged within a day, whichever process is killed. The
holder of the claim stores a response before charging it, and a claim passes on only from an edge that was fenced before
it stored a response. Crash window: an edge that dies between the two has stored a response that is not charged.
A stream whose client leaves before its first byte has no response to repeat. Its prompt is charged as without a key,
and the next request with the key is a first one.

Only requests with the header make these calls. The reasons are in
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
# Delays between two attempts of a call, and between two reads of a claim that another request holds.
_FIRST_DELAY_S, _MAX_DELAY_S = 0.1, 1.0
# How long to retry storing a response before it is sent without a charge.
KEEP_TIMEOUT_S = 5.0
# How long after its cancellation a claim may still be made.
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
    """The claim of a request that serves its idempotency key. It must be released in the end."""

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
        """Store the response: what was sent to the client, and `rest`. Return False if it must not be charged.

        A response that is too large is stored without its body: it is charged, and a repetition is rejected. An empty
        response is not stored.
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
            log.error("a response was not stored and is not charged: %s", error)  # noqa: TRY400 - no traceback needed
            return False
        self._is_charged = _keep_decoder.decode(found).kept
        return self._is_charged

    def release(self) -> None:
        """Release the claim. If nothing was charged, the next request with this key counts as a first one."""
        if not self._is_charged:
            self._owner.release_soon(self._seal.claim_id, self._context.request_id)


class Claims(Protocol):
    async def take(
        self, context: RequestContext, account_id: str, api_key: bytes, body: bytes
    ) -> Claim | StoredResponse | None:
        """Return the claim of a request to serve, or the stored response of the first one. None without the header.

        Raises:
            ApiError: the key is invalid or in use, or the balance service is unavailable.
        """


class SharedClaims:
    """Claims at the balance service, which all edges share."""

    def __init__(
        self, client: LeaseClient, boot_id: Callable[[], str], *, wait_s: float, max_answer_bytes: int
    ) -> None:
        """Build the claims.

        Args:
            client: client of the balance service.
            boot_id: returns the boot of this edge's leases. Its claims are released when it is fenced.
            wait_s: how long a request may wait for the first one's response.
            max_answer_bytes: larger responses are stored without their body.
        """
        self._client = client
        self._boot_id = boot_id
        self._wait_s = wait_s
        self.max_answer_bytes = max_answer_bytes
        self._releasing: set[asyncio.Task[None]] = set()

    def release_soon(self, claim_id: str, token: str) -> None:
        """Release a claim in the background, with retries, because no other process can while this edge lives.

        A claim with a stored response stays.
        """
        self._begin(self._release(claim_id, token))

    def _begin(self, releasing: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(releasing)
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)

    async def _release_twice(self, claim_id: str, token: str) -> None:
        """Release a claim whose request was canceled in flight. It may be made after the first release."""
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
            log.error("the release of an idempotency key was rejected: %s", error)  # noqa: TRY400 - no traceback needed

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
            # It is unknown whether the claim was made, or still will be.
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
            raise _conflict(f"belongs to request {answer.request_id}, whose response was too large to be stored", ())
        return answer

    async def _ask(self, seal: Seal, content: dict[str, str]) -> _ClaimAnswer:
        """Claim until this request holds the claim, or the response is stored."""
        deadline, delays = time.monotonic() + self._wait_s, backoff(_FIRST_DELAY_S, _MAX_DELAY_S)
        while True:
            try:
                found = _claim_decoder.decode(await self._client.send("PUT", f"/idempotency/{seal.claim_id}", content))
            except LeaseError as error:
                log.warning("claiming an idempotency key failed: %s", error)
                raise _unavailable() from error
            if found.state == "mismatch":
                raise _mismatch()
            if found.state != "running":
                return found
            if time.monotonic() > deadline:
                raise _conflict("belongs to a request that is still running", _RETRY_AFTER)
            await asyncio.sleep(next(delays))


class NoClaims:
    """Reject the header without a balance service, which stores the responses."""

    async def take(self, context: RequestContext, account_id: str, api_key: bytes, body: bytes) -> None:  # noqa: ARG002 - see above
        if HEADER in context.headers:
            message = "Idempotency-Key is not supported: this gateway runs without a balance service. Omit the header."
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
    # Without Retry-After, a retry of the SDK would fail in the same way.
    headers = headers or ((b"x-should-retry", b"false"),)
    message = f"This Idempotency-Key {what}."
    return ApiError(HTTPStatus.CONFLICT, message, code="idempotency_key_in_use", headers=headers)


def _unavailable() -> ApiError:
    return ApiError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Idempotency keys are unavailable, so requests with one are rejected. Retry in a moment.",
        error_type=SERVER_ERROR,
        code="idempotency_unavailable",
        headers=_RETRY_AFTER,
    )
