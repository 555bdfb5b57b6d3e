"""Bodies into typed requests, and what does not fit into OpenAI's 400."""

import re
from typing import Final, TypeVar

import msgspec

from tollgate_local.provider.errors import ApiError, invalid_value

RequestT = TypeVar("RequestT")

_MISSING: Final = re.compile(r"^Object missing required field `(?P<field>[^`]+)`(?: - at `\$\.?(?P<path>[^`]*)`)?$")
_INVALID: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)


def decode(decoder: msgspec.json.Decoder[RequestT], body: bytes) -> RequestT:
    """The request in `body`; `ApiError` 400 names the parameter that is missing or wrong."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _described(str(error)) from None
    # Nesting beyond the interpreter's depth is no JSON that OpenAI would read either.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = "We could not parse the JSON body of your request. The API expects a JSON payload."
        raise ApiError(400, message) from None


def _described(problem: str) -> ApiError:
    missing = _MISSING.match(problem)
    if missing:
        path = ".".join(part for part in (missing["path"], missing["field"]) if part)
        return invalid_value(path, f"Missing required parameter: '{path}'.", "missing_required_parameter")
    invalid = _INVALID.match(problem)
    path = (invalid and invalid["path"]) or "body"
    what = invalid["what"] if invalid else problem
    return invalid_value(path, f"Invalid value for '{path}': {what}.", "invalid_type")
