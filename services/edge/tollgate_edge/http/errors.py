"""The errors that a caller sees, in the shape that OpenAI's SDKs expect, and those that end a call without an answer.

TollgateError
├── ApiError        an answer: {"error": {"message", "type", "param", "code"}} with its status
│   ├── ProviderError   the provider's doing: it tells whether another attempt is safe and sensible
│   │   ├── ProviderRefused  it answered with an error, which the client gets
│   │   └── ProviderFailed   it broke off or could not be reached; what it already delivered is still charged
│   ├── CreditSpent     the account's credit does not cover the request
│   │   └── BudgetExceeded  it does, but a budget of the key does not
│   ├── CreditHeld      it would, but requests in flight hold it
│   ├── BalanceUnavailable  the balance service could not be asked
│   └── CutOff          one of these three, in the middle of a stream
└── ClientGone      the client left before its answer was complete: there is nobody to answer
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
# Long enough not to hammer, short enough that a recovered Kafka is noticed by a retry of the SDK's.
RETRY_AFTER_S = 5
_RETRY_LATER = ((b"retry-after", b"%d" % RETRY_AFTER_S),)
# A retry of the SDK's would only be refused again.
_NO_RETRY = ((b"x-should-retry", b"false"),)


class ErrorFormat(NamedTuple):
    """How an API words its errors: as a body, and as the last event of a stream that has begun. Without an event the
    connection is broken off: a client must not take a torn answer for a whole one."""

    body: Callable[["ApiError"], bytes]
    event: Callable[["ApiError"], bytes] | None


class ApiError(TollgateError):
    """An error as OpenAI words it; `status` is HTTP's, the other fields are the body's."""

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


OPENAI_ERROR_FORMAT = ErrorFormat(ApiError.body, ApiError.event)


class ProviderError(ApiError):
    """Attributes tell how far the request came.

    sent: some of the request may have reached the provider; it may be at work, and ask the operator for it.
    upstream_status: HTTP status of the provider's answer; None if there was none.
    retry_after_s: how long the provider asks to wait, if it said so.
    """

    sent: bool = True
    upstream_status: int | None = None
    retry_after_s: float | None = None


class ProviderRefused(ProviderError):
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
        super().__init__(status, message, error_type=error_type, param=param, code=code, headers=headers)
        self.upstream_status = status
        self.retry_after_s = retry_after_s


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
            f"Your credit is spent: this request may cost up to {needed} and {left} is left. "
            "Add credit to your account, or ask for fewer tokens.",
            error_type=INSUFFICIENT_QUOTA,
            code=INSUFFICIENT_QUOTA,
            headers=_NO_RETRY,
        )


_BUDGETS = {"day": "daily budget", "month": "monthly budget", "total": "budget"}


class BudgetExceeded(CreditSpent):
    """`insufficient_quota` would tell to add credit, which would not help."""

    def __init__(self, needed_nano: int, budget: BudgetView) -> None:
        whose = "this API key's" if budget.budget_id.startswith("key:") else "its project's"
        needed, amount = decimal_from_nano(needed_nano), decimal_from_nano(budget.amount_nano)
        left = decimal_from_nano(max(0, budget.amount_nano - budget.spent_nano))
        resets = f"It resets at {budget.resets_at}." if budget.resets_at else "It does not reset."
        ApiError.__init__(
            self,
            HTTPStatus.PAYMENT_REQUIRED,
            f"The {_BUDGETS.get(budget.period, 'budget')} of {amount} is used up, {whose} ({budget.budget_id}): this "
            f"request may cost up to {needed} and {left} of it is not spent. {resets}",
            error_type=INSUFFICIENT_QUOTA,
            code="budget_exceeded",
            headers=_NO_RETRY,
        )


class CreditHeld(ApiError):
    def __init__(self) -> None:
        super().__init__(
            HTTPStatus.PAYMENT_REQUIRED,
            "Your remaining credit is held by requests in flight. Try again when some of them have ended.",
            error_type=INSUFFICIENT_QUOTA,
            code=INSUFFICIENT_QUOTA,
            headers=_NO_RETRY,
        )


class BalanceUnavailable(ApiError):
    def __init__(self) -> None:
        super().__init__(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "This gateway cannot ask for your credit now; it refuses what nobody may pay.",
            error_type=SERVER_ERROR,
            code="balance_unavailable",
            headers=_RETRY_LATER,
        )


class CutOff(ApiError):
    def __init__(self, cause: ApiError) -> None:
        super().__init__(
            cause.status,
            f"The answer was cut off, and you pay for what you received. {cause}",
            error_type=INSUFFICIENT_QUOTA,
            code=cause.code,
        )


class ClientGone(TollgateError):
    pass


def missing_key() -> ApiError:
    message = "You didn't provide an API key. Send it in the Authorization header, as in: Authorization: Bearer tg_..."
    return ApiError(HTTPStatus.UNAUTHORIZED, message, code="invalid_api_key")


def malformed_key() -> ApiError:
    message = "This is no Tollgate API key: it starts with tg_ and ends with a checksum. Was it copied in full?"
    return ApiError(HTTPStatus.UNAUTHORIZED, message, code="invalid_api_key")


def unknown_key() -> ApiError:
    message = "Incorrect API key provided: it does not exist, has expired or was revoked."
    return ApiError(HTTPStatus.UNAUTHORIZED, message, code="invalid_api_key")


def body_too_large(limit_bytes: int) -> ApiError:
    message = f"The request's body is larger than the {limit_bytes} bytes that are allowed."
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message, code="request_too_large")


def body_encoded(encoding: bytes) -> ApiError:
    name = encoding.decode("latin-1")[:32]
    message = (
        f"The request's body is encoded (Content-Encoding: {name}), which is not understood here. Send it as it is."
    )
    code, param = "unsupported_content_encoding", "content-encoding"
    return ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message, param=param, code=code)


def not_json() -> ApiError:
    message = (
        "We could not parse the JSON body of your request: a JSON object is expected, such as "
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
    message = f"The model `{model}` has no price on your plan, so it cannot be called yet."
    return ApiError(HTTPStatus.NOT_FOUND, message, param="model", code="model_not_priced")


def model_quarantined(model: str) -> ApiError:
    message = f"The model `{model}` is not available now: the operator of this gateway is looking into its price."
    return ApiError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        message,
        error_type=SERVER_ERROR,
        param="model",
        code="model_quarantined",
        headers=_NO_RETRY,
    )


def out_of_credit() -> ApiError:
    message = "You have no credit left. Add credit to your account, then try again."
    return ApiError(
        HTTPStatus.PAYMENT_REQUIRED,
        message,
        error_type=INSUFFICIENT_QUOTA,
        code=INSUFFICIENT_QUOTA,
        headers=_NO_RETRY,
    )


def cannot_record(reason: str) -> ApiError:
    message = f"This gateway cannot record requests now ({reason}); it refuses what it could not account for."
    return ApiError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        message,
        error_type=SERVER_ERROR,
        code="event_log_unavailable",
        headers=_RETRY_LATER,
    )


def starting() -> ApiError:
    return ApiError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "This gateway has just started and does not know all keys and models yet. Try again in a moment.",
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
    message = "The gateway had an error while processing your request. Sorry about that."
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, message, error_type=SERVER_ERROR, code="internal_error")
