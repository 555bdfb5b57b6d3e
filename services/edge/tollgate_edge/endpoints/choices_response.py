"""What a whole answer with choices tells: that of chat completions and that of completions."""

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


def parse_choices_response(request: ModelRequest, body: bytes, what: str) -> ParsedResponse:
    """Read the answer to a request; `what` it should be.

    Raises:
        ProviderFailed: it is none.
    """
    try:
        answer = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise unexpected_response(what) from error
    tokens = parse_chat_usage(answer.usage) if is_present(answer.usage) else None
    reasons = [choice.finish_reason for choice in answer.choices if choice.finish_reason]
    return ParsedResponse(
        tokens or TokenCounts(input=request.prompt_tokens(), output=count_response(body)),
        estimated=tokens is None,
        finish_reason=reasons[-1] if reasons else "",
        served_model=answer.model or "",
    )
