"""The parser of complete responses that have choices: chat completions and completions."""

import msgspec

from tollgate_common.rating import TokenCounts
from tollgate_edge.endpoints.base import ModelRequest, ParsedResponse, unexpected_response
from tollgate_edge.streaming.delivered_text import count_response
from tollgate_edge.usage.parsers import is_present, parse_chat_usage


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _ResponseBody(msgspec.Struct):
    choices: list[_Choice]
    model: str | None = None
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
    tokens = parse_chat_usage(response.usage) if is_present(response.usage) else None
    reasons = [choice.finish_reason for choice in response.choices if choice.finish_reason]
    return ParsedResponse(
        tokens or TokenCounts(input=request.prompt_tokens(), output=count_response(body)),
        estimated=tokens is None,
        finish_reason=reasons[-1] if reasons else "",
        served_model=response.model or "",
    )
