"""The body of a provider's error: `{"error": {…}}` in every protocol, each with words of its own."""

from typing import TypeVar

import msgspec

ErrorT = TypeVar("ErrorT", bound=msgspec.Struct)


class _Body(msgspec.Struct):
    error: msgspec.Raw


_decoder = msgspec.json.Decoder(_Body)


def parse_error(body: bytes, kind: type[ErrorT]) -> ErrorT:
    """What an error's body tells; `kind` without anything told if it is none of the protocol."""
    try:
        return msgspec.json.decode(_decoder.decode(body).error, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return kind()
