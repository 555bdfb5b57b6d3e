"""What can go wrong, told to a client in ClickHouse's own terms.

Exception
├── ClickHouseError     answered with ClickHouse's code, in the header and in the text
├── ClientGone          nobody is left to answer
└── CannotStartError    one line for the person who started the server; it exits with 1
"""

import re
from typing import Self

_CODE = re.compile(r"Code: (\d+)\. DB::Exception: ")

# ClickHouse's numbers, for what is refused before the engine sees it.
NOT_IMPLEMENTED = (48, "NOT_IMPLEMENTED")
SYNTAX_ERROR = (62, "SYNTAX_ERROR")
UNKNOWN_FORMAT = (73, "UNKNOWN_FORMAT")
UNKNOWN_COMPRESSION_METHOD = (89, "UNKNOWN_COMPRESSION_METHOD")
CANNOT_DECOMPRESS = (271, "CANNOT_DECOMPRESS")
BAD_REQUEST_PARAMETER = (36, "BAD_ARGUMENTS")
SESSION_NOT_FOUND = (372, "SESSION_NOT_FOUND")
SESSION_IS_LOCKED = (373, "SESSION_IS_LOCKED")
QUERY_WITH_SAME_ID = (216, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING")
AUTHENTICATION_FAILED = (516, "AUTHENTICATION_FAILED")
_UNKNOWN_EXCEPTION_CODE = 1002

# The status that ClickHouse gives to a code; any other code is a 500. Clients read the code, people the status.
_STATUS_BY_CODE = {
    27: 400,
    33: 400,
    36: 400,
    41: 400,
    53: 400,
    62: 400,
    73: 404,
    46: 404,
    47: 404,
    48: 501,
    56: 404,
    60: 404,
    81: 404,
    115: 404,
    159: 408,
    192: 403,
    372: 404,
    516: 403,
}


class ClientGone(Exception):
    """The connection closed before its request was complete or answered."""


class CannotStartError(Exception):
    """A taken port or a data path that is in use, cannot be written or cannot be opened."""


class ClickHouseError(Exception):
    """Carries ClickHouse's number and wording: `Code: 60. DB::Exception: ... (UNKNOWN_TABLE)`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @classmethod
    def refused(cls, kind: tuple[int, str], reason: str) -> Self:
        code, name = kind
        return cls(code, f"Code: {code}. DB::Exception: {reason}. ({name})")

    @classmethod
    def from_engine(cls, error: Exception) -> Self:
        """Keep the engine's text from its code on; what stands before is the wheel's own wrapping."""
        text = str(error).strip()
        match = _CODE.search(text)
        if match is None:
            return cls(_UNKNOWN_EXCEPTION_CODE, f"Code: {_UNKNOWN_EXCEPTION_CODE}. DB::Exception: {text}")
        return cls(int(match[1]), text[match.start() :])

    @property
    def status(self) -> int:
        return _STATUS_BY_CODE.get(self.code, 500)
