"""The parser of a provider's error body: `{"error": {…}}` in every protocol, with different fields."""

from typing import TypeVar

import msgspec

ErrorT = TypeVar("ErrorT", bound=msgspec.Struct)


class _Body(msgspec.Struct):
    error: msgspec.Raw


_decoder = msgspec.json.Decoder(_Body)


def parse_error(body: bytes, error_type: type[ErrorT]) -> ErrorT:
    """Parse an error body; return an empty `error_type` if the body is not valid."""
    try:
        return msgspec.json.decode(_decoder.decode(body).error, type=error_type)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return error_type()
