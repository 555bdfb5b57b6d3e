"""The errors of a request: those that the client receives in OpenAI's shape, and those that end it without a response.

TollgateError
├── ApiError        a response: {"error": {"message", "type", "param", "code"}} with its status
│   ├── ProviderError   caused by the provider; states whether another attempt is safe
│   │   ├── ProviderRefused  the provider returned an error, which the client receives
│   │   └── ProviderFailed   the provider broke off or is unreachable; what it delivered is still charged
│   ├── CreditSpent     the account's credit does not cover the request
│   │   └── BudgetExceeded  the credit covers it, but a budget of the key does not
│   ├── CreditHeld      requests in flight hold the credit that would cover it
│   ├── BalanceUnavailable  the balance service does not respond
│   └── CutOff          one of these three, in the middle of a stream
└── ClientGone      the client left before the response was complete, so nobody receives one
"""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from tollgate_common.errors import TollgateError
from tollgate_common.lease_protocol import BudgetView
from tollgate_common.money import decimal_from_nano

Header = tuple[bytes, bytes]

INVALID_REQUEST = "invalid_request_error"
SERVER_ERROR = "server_error"
INSUFFICIENT_QUOTA = "insufficient_quota"
# Long enough to limit the load of retries, short enough that an SDK's retry notices that Kafka has recovered.
RETRY_AFTER_S = 5
_RETRY_LATER = ((b"retry-after", b"%d" % RETRY_AFTER_S),)
# An SDK's retry would only be rejected again.
_NO_RETRY = ((b"x-should-retry", b"false"),)
# Anthropic's status of an overload. OpenAI's clients do not know it.
OVERLOADED = 529


class ErrorFormat(NamedTuple):
    """How an API formats its errors: as a body, and as the last event of a stream that has started.

    Without an event format the connection is aborted, because a client must not take a partial response for a complete
    one.
    """

    body: Callable[["ApiError"], bytes]
    event: Callable[["ApiError"], bytes] | None


class ApiError(TollgateError):
    """An error in OpenAI's shape. `status` is the HTTP status; the other fields are those of the body."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        error_type: str = INVALID_REQUEST,
        param: str | None = None,
        code: str | None = None,
        headers: Sequence[Header] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or ""
        self.headers = headers
        self.error_type = error_type
        self.param = param
        self._error = {"message": message, "type": error_type, "param": param, "code": code}

    def body(self) -> bytes:
        return msgspec.json.encode({"error": self._error})

    def event(self) -> bytes:
        return b"data: %b\n\n" % self.body()

    def forbid_retry(self) -> None:
        """Tell the client's SDK not to repeat the request by itself."""
        if _NO_RETRY[0] not in self.headers:
            self.headers = (*self.headers, *_NO_RETRY)


OPENAI_ERROR_FORMAT = ErrorFormat(ApiError.body, ApiError.event)


class ProviderError(ApiError):
    """Attributes report how far the request came.

    sent: whether some of the request may have reached the provider, which may then work on it and charge for it.
    upstream_status: HTTP status of the provider's response; None if there was none.
    retry_after_s: how long the provider asks to wait, if it does.
    """

    sent: bool = True
    upstream_status: int | None = None
    retry_after_s: float | None = None


class ProviderRefused(ProviderError):
    """The provider's error. Its status 529 is 503 here; `keep_overloaded` restores it for a client that knows it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        error_type: str,
        param: str | None,
        code: str | None,
        headers: Sequence[Header] = (),
        retry_after_s: float | None = None,
    ) -> None:
        client_status = HTTPStatus.SERVICE_UNAVAILABLE if status == OVERLOADED else status
        super().__init__(client_status, message, error_type=error_type, param=param, code=code, headers=headers)
        self.upstream_status = status
        self.retry_after_s = retry_after_s

    def keep_overloaded(self) -> None:
        if self.upstream_status == OVERLOADED:
            self.status = OVERLOADED


class ProviderFailed(ProviderError):
    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "provider_error",
        sent: bool = True,
        upstream_status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(status, message, error_type=SERVER_ERROR, code=code)
        self.sent = sent
        self.upstream_status = upstream_status
        self.retry_after_s = retry_after_s


class CreditSpent(ApiError):
    def __init__(self, needed_nano: int, posted_nano: int) -> None:
        needed, left = decimal_from_nano(needed_nano), decimal_from_nano(max(0, posted_nano))
        super().__init__(
            HTTPStatus.PAYMENT_REQUIRED,
            f"Insufficient credit: this request may cost up to ${needed}, and your account has ${left}. "
            "Add credit to your account, or request fewer tokens with `max_tokens`.",
            error_type=INSUFFICIENT_QUOTA,
            code=INSUFFICIENT_QUOTA,
            headers=_NO_RETRY,
        )


_BUDGETS = {"day": "daily budget", "month": "monthly budget", "total": "budget"}


class BudgetExceeded(CreditSpent):
    """Has a code of its own: `insufficient_quota` would suggest adding credit, which does not help."""

    def __init__(self, needed_nano: int, budget: BudgetView) -> None:
        owner = "this API key" if budget.budget_id.startswith("key:") else "the API key's project"
        needed, amount = decimal_from_nano(needed_nano), decimal_from_nano(budget.amount_nano)
        left = decimal_from_nano(max(0, budget.amount_nano - budget.spent_nano))
        resets = f"It resets at {budget.resets_at}." if budget.resets_at else "It does not reset; raise it to continue."
        ApiError.__init__(
            self,
            HTTPStatus.PAYMENT_REQUIRED,
            f"The {_BUDGETS.get(budget.period, 'budget')} of ${amount} of {owner} ({budget.budget_id}) is exceeded: "
            f"this request may cost up to ${needed}, and ${left} is left. {resets}",
            error_type=INSUFFICIENT_QUOTA,
            code="budget_exceeded",
            headers=_NO_RETRY,
        )


class CreditHeld(ApiError):
    def __init__(self) -> None:
        super().__init__(
            HTTPStatus.PAYMENT_REQUIRED,
            "Requests in flight hold your remaining credit. Retry when some of them have ended.",
            error_type=INSUFFICIENT_QUOTA,
            code=INSUFFICIENT_QUOTA,
            headers=_NO_RETRY,
        )


class BalanceUnavailable(ApiError):
    def __init__(self) -> None:
        super().__init__(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The credit service is unavailable, so this request cannot be paid for now. Retry in a moment.",
            error_type=SERVER_ERROR,
            code="balance_unavailable",
            headers=_RETRY_LATER,
        )


class CutOff(ApiError):
    def __init__(self, cause: ApiError) -> None:
        super().__init__(
            cause.status,
            f"The response was cut off, and you pay for what you received. {cause}",
            error_type=INSUFFICIENT_QUOTA,
            code=cause.code,
        )


class ClientGone(TollgateError):
    pass


def missing_key() -> ApiError:
    message = "You didn't provide an API key. Send it in the Authorization header, as in: Authorization: Bearer tg_..."
    return ApiError(HTTPStatus.UNAUTHORIZED, message, code="invalid_api_key")


def malformed_key() -> ApiError:
    message = "Malformed API key: a key starts with tg_ and ends with a checksum. Check that it was copied in full."
    return ApiError(HTTPStatus.UNAUTHORIZED, message, code="invalid_api_key")


def unknown_key() -> ApiError:
    message = "Incorrect API key provided: the key does not exist, has expired or was revoked."
    return ApiError(HTTPStatus.UNAUTHORIZED, message, code="invalid_api_key")


def body_too_large(limit_bytes: int) -> ApiError:
    message = f"The request body exceeds the limit of {limit_bytes} bytes."
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message, code="request_too_large")


def body_encoded(encoding: bytes) -> ApiError:
    name = encoding.decode("latin-1")[:32]
    message = f"Unsupported Content-Encoding {name!r}: send the request body without compression."
    code, param = "unsupported_content_encoding", "content-encoding"
    return ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message, param=param, code=code)


def not_json() -> ApiError:
    message = (
        "We could not parse the JSON body of your request. Expected a JSON object, such as "
        '{"model": "...", "messages": [...]}.'
    )
    return ApiError(HTTPStatus.BAD_REQUEST, message)


def missing_parameter(param: str) -> ApiError:
    message = f"Missing required parameter: '{param}'."
    return ApiError(HTTPStatus.BAD_REQUEST, message, param=param, code="missing_required_parameter")


def invalid_parameter(param: str | None, problem: str) -> ApiError:
    message = f"Invalid value for '{param}': {problem}." if param else f"Invalid request: {problem}."
    return ApiError(HTTPStatus.BAD_REQUEST, message, param=param, code="invalid_type")


def unsupported_value(param: str, problem: str) -> ApiError:
    message = f"Unsupported value for '{param}': {problem}."
    return ApiError(HTTPStatus.BAD_REQUEST, message, param=param, code="unsupported_value")


def unknown_model(model: str) -> ApiError:
    message = f"The model `{model}` does not exist or you do not have access to it."
    return ApiError(HTTPStatus.NOT_FOUND, message, param="model", code="model_not_found")


def not_offered(model: str, operation: str) -> ApiError:
    message = f"The model `{model}` is not available on v1/{operation}."
    return ApiError(HTTPStatus.NOT_FOUND, message, param="model", code="model_not_found")


def model_not_priced(model: str) -> ApiError:
    message = f"The model `{model}` has no price on your plan, so it cannot be called. Ask the operator to set one."
    return ApiError(HTTPStatus.NOT_FOUND, message, param="model", code="model_not_priced")


def model_quarantined(model: str) -> ApiError:
    message = f"The model `{model}` is in quarantine until the operator of this gateway has checked its price."
    return ApiError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        message,
        error_type=SERVER_ERROR,
        param="model",
        code="model_quarantined",
        headers=_NO_RETRY,
    )


def out_of_credit() -> ApiError:
    message = "Your account has no credit. Add credit, then retry."
    return ApiError(
        HTTPStatus.PAYMENT_REQUIRED,
        message,
        error_type=INSUFFICIENT_QUOTA,
        code=INSUFFICIENT_QUOTA,
        headers=_NO_RETRY,
    )


def event_log_unavailable(reason: str) -> ApiError:
    message = f"Usage recording is unavailable ({reason}). Requests are rejected until it recovers."
    return ApiError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        message,
        error_type=SERVER_ERROR,
        code="event_log_unavailable",
        headers=_RETRY_LATER,
    )


def not_ready() -> ApiError:
    return ApiError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "This gateway has just started and has not read all keys and models yet. Retry in a moment.",
        error_type=SERVER_ERROR,
        code="not_ready",
        headers=((b"retry-after", b"1"),),
    )


def unknown_path(method: str, path: str) -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, f"Invalid URL ({method} {path})", code="unknown_url")


def wrong_method(method: str, path: str, allowed: str) -> ApiError:
    message = f"Not allowed to {method} on {path} (HINT: use {allowed})"
    headers = ((b"allow", allowed.encode()),)
    return ApiError(HTTPStatus.METHOD_NOT_ALLOWED, message, code="method_not_supported", headers=headers)


def internal_error() -> ApiError:
    message = (
        "The gateway failed while processing your request. Report the x-request-id of this response to its operator."
    )
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, message, error_type=SERVER_ERROR, code="internal_error")
