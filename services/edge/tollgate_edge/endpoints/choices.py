"""What a whole answer with choices tells: that of chat completions and that of completions."""

import msgspec

from tollgate_common.rating import TokenCounts
from tollgate_edge.endpoints.base import ModelRequest, Reading, not_an_answer
from tollgate_edge.streaming.delivered_text import count_answer
from tollgate_edge.usage.parsers import is_given, parse_usage


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    model: str | None = None
    usage: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Answer)


def read_choices(request: ModelRequest, body: bytes, what: str) -> Reading:
    """Read the answer to a request; `what` it should be.

    Raises:
        ProviderFailed: it is none.
    """
    try:
        answer = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise not_an_answer(what) from error
    tokens = parse_usage(answer.usage) if is_given(answer.usage) else None
    reasons = [choice.finish_reason for choice in answer.choices if choice.finish_reason]
    return Reading(
        tokens or TokenCounts(input=request.prompt_tokens(), output=count_answer(body)),
        estimated=tokens is None,
        finish_reason=reasons[-1] if reasons else "",
        served_model=answer.model or "",
    )
