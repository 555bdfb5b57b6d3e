"""The errors that modules raise for each other.

TollgateError
├── Retryable           may succeed later: the partition waits and the message is retried
├── Poison              can never succeed: the message goes to the dead-letter topic with this reason
├── Fenced              another instance has taken over: this one must release what it holds
├── CommandError        a command fails because of its input; the message is for the person who typed it
├── InconsistentState   stored state contradicts itself: the process stops, and never repairs it by guessing
└── Problem             an HTTP error response: carries its status and the invalid field (RFC 9457)
"""

from collections.abc import Mapping


class TollgateError(Exception):
    pass


class Retryable(TollgateError):
    pass


class Poison(TollgateError):
    pass


class CommandError(TollgateError):
    pass


class Fenced(TollgateError):
    pass


class InconsistentState(TollgateError):
    pass


class Problem(TollgateError):
    """An error response to an HTTP client.

    Args:
        status: HTTP status code.
        code: stable, machine-readable name of the error, such as `promo_code_expired`.
        detail: a sentence for a person: what is wrong, and what would be right.
        field: the name of the invalid input, if there is one.
        headers: additional response headers, such as `Retry-After`.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field
        self.headers = headers
