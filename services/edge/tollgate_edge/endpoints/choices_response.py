"""The parser of complete responses that have choices: chat completions and completions."""

from typing import Any

import msgspec

from tollgate_edge.endpoints.base import ModelRequest, ParsedResponse, unexpected_response
from tollgate_edge.streaming.delivered_text import count_response
from tollgate_edge.usage.parsers import parse_usages


class _Choice(msgspec.Struct):
    finish_reason: Any = None
    usage: msgspec.Raw = msgspec.Raw()
    """Moonshot's place for it."""


class _ResponseBody(msgspec.Struct):
    choices: list[_Choice]
    model: Any = None
    usage: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_ResponseBody)


def parse_choices_response(request: ModelRequest, body: bytes, expected: str) -> ParsedResponse:
    """Parse a response.

    Args:
        request: the request that it responds to.
        body: the response's JSON.
        expected: what the body should be, for the error message.

    Raises:
        ProviderFailed: the body is not valid.
    """
    try:
        response = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise unexpected_response(expected) from error
    usages = [usage for usage in (response.usage, *(choice.usage for choice in response.choices)) if usage]
    reasons = [choice.finish_reason for choice in response.choices if isinstance(choice.finish_reason, str)]
    return request.settled_response(
        parse_usages(usages),
        lambda: count_response(body),
        finish_reason=reasons[-1] if reasons else "",
        served_model=response.model if isinstance(response.model, str) else "",
    )
