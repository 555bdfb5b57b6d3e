"""The errors that cross a module's border.

TollgateError
├── Retryable       may succeed later: the partition waits and the message is tried again
├── Poison          can never succeed: the message goes to the dead-letter topic with this reason
├── Fenced          another instance has taken over: this one must let go of what it holds
├── CommandError    a command cannot be done as it was typed; the message is for who typed it
├── InconsistentState         stored state contradicts itself: stop and tell someone; never repair by guessing
└── Problem         an HTTP answer: carries its status and the field that was wrong (RFC 9457)
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
    """An error that an HTTP client caused or must know about.

    Args:
        status: HTTP status code.
        code: stable, machine-readable name of the error, such as `promo_code_expired`.
        detail: a sentence for a person: what was wrong and what would be right.
        field: the name of the input that was wrong, if one was.
        headers: further headers of the answer, such as `Retry-After`.
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
