"""JSON bodies of requests. The edge parses only the members that it needs, and forwards the rest unchanged."""

import re
from typing import Annotated, Any, Protocol, TypeVar

import msgspec

from tollgate_edge.http.costly_members import CostlyMembers
from tollgate_edge.http.errors import ApiError, invalid_parameter, missing_parameter, not_json, unsupported_value
from tollgate_edge.http.json_members import check_members

# Maximum lengths of texts from the client, so that events stay small.
MAX_END_USER_CHARS = 256
MAX_MODEL_CHARS = 256
_ESCAPED_LETTER = re.compile(rb"\\u00([2-7][0-9a-fA-F])")


RequestT = TypeVar("RequestT")
ValueT = TypeVar("ValueT")
# Service tiers whose price is that of the catalog, or less.
_TIERS = frozenset({"auto", "default", "flex", "on_demand", "scale"})
ModelName = Annotated[str, msgspec.Meta(max_length=MAX_MODEL_CHARS)]


def decode(decoder: msgspec.json.Decoder[RequestT], body: bytes) -> RequestT:
    """Decode a body, or a part of one, as far as the edge reads it.

    The whole body must be UTF-8, because parts that are not read here may be read later. If the result is a struct, its
    members must be the same for every reader: see `json_members`.

    Raises:
        ApiError: 400, with the name of the invalid parameter.
    """
    try:
        # A part has been checked with its body.
        if isinstance(body, bytes) and not body.isascii():
            body.decode()
        decoded = decoder.decode(body)
        if isinstance(decoded, msgspec.Struct):
            check_members(body, type(decoded))
    except msgspec.ValidationError as error:
        raise _explain(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json() from error
    return decoded


def required(value: ValueT | None, param: str) -> ValueT:
    """Return a field that is required and must not be empty.

    Raises:
        ApiError: 400.
    """
    if not value:
        raise missing_parameter(param)
    return value


def unescaped(body: bytes) -> bytes:
    """Return the body with escaped ASCII characters decoded, so that a member name is found in any spelling."""
    return body if b"\\u00" not in body else _ESCAPED_LETTER.sub(lambda found: bytes.fromhex(found[1].decode()), body)


def clean_user(user: str | None) -> str:
    # PostgreSQL's text type cannot hold NUL.
    return (user or "").replace("\0", "")[:MAX_END_USER_CHARS]


def check_limit(limit: int | None, param: str) -> None:
    """Reject a limit of output tokens below 1, which some providers ignore.

    Raises:
        ApiError: 400.
    """
    if limit is not None and limit < 1:
        raise invalid_parameter(param, f"expected at least 1, but got {limit}")


def check_service_tier(tier: str | None) -> None:
    """Reject service tiers with a surcharge, because the usage does not contain it.

    Raises:
        ApiError: 400.
    """
    if tier is not None and tier not in _TIERS:
        raise unsupported_value("service_tier", "its surcharge could not be metered here")


def replaced(body: bytes, **members: Any) -> bytes:
    """Return the JSON object with some members replaced, and the others unchanged."""
    known: dict[str, Any] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return msgspec.json.encode(known | members)


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class ChatRequest(CostlyMembers):
    model: ModelName | None = None
    messages: list[msgspec.Raw] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | msgspec.UnsetType | None = msgspec.UNSET
    user: str | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    service_tier: str | None = None
    store: Any = None
    tools: msgspec.Raw = msgspec.Raw()

    @property
    def choices(self) -> int:
        return max(1, self.n or 1)

    @property
    def limit_tokens(self) -> int | None:
        """The client's limit of tokens for each choice.

        If it sent two, the larger one, because a provider may use either.
        """
        given = [limit for limit in (self.max_tokens, self.max_completion_tokens) if limit is not None]
        return max(given, default=None)

    @property
    def includes_usage(self) -> bool:
        """Whether the client requested the usage of its stream."""
        return isinstance(self.stream_options, StreamOptions) and self.stream_options.include_usage is True

    @property
    def end_user(self) -> str:
        return clean_user(self.user)


_decoder = msgspec.json.Decoder(ChatRequest)


def parse_chat(body: bytes) -> tuple[str, ChatRequest]:
    """Return the model's name and the request.

    Raises:
        ApiError: 400 with the missing or invalid parameter.
    """
    chat = decode(_decoder, body)
    model = required(chat.model, "model")
    if chat.messages is None:
        raise missing_parameter("messages")
    if not chat.messages:
        raise invalid_parameter("messages", "expected at least one message, but got none")
    chat.check_costly_members()
    check_service_tier(chat.service_tier)
    check_limit(chat.max_tokens, "max_tokens")
    check_limit(chat.max_completion_tokens, "max_completion_tokens")
    return model, chat


class StreamRequest(Protocol):
    """A request whose stream may contain its usage."""

    stream: bool | None
    stream_options: StreamOptions | msgspec.UnsetType | None

    @property
    def includes_usage(self) -> bool: ...


def upstream_body(body: bytes, chat: StreamRequest) -> bytes:
    """Return the body for the provider: the client's bytes, with usage requested if the response is a stream."""
    if not chat.stream or chat.includes_usage:
        return body
    if chat.stream_options is msgspec.UNSET:
        # The body is an object with members, so another member can be appended before its last brace.
        return body[: body.rindex(b"}")] + b',"stream_options":{"include_usage":true}}'
    members: dict[str, Any] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    options: dict[str, Any] = msgspec.json.decode(members["stream_options"]) or {}
    members["stream_options"] = options | {"include_usage": True}
    return msgspec.json.encode(members)


def limited_body(body: bytes, limit_tokens: int) -> bytes:
    """Return an upstream body with a limit of tokens for each choice, for a client that set none."""
    members: dict[str, Any] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    # An explicit null would conflict with the limit.
    members.pop("max_tokens", None)
    return msgspec.json.encode(members | {"max_completion_tokens": limit_tokens})


def wrong_member(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return the invalid member of a JSON object, empty for the object itself, and the reason."""
    # A message of msgspec: Expected `bool`, got `str` - at `$.stream`
    problem, _, location = str(error).partition(" - at ")
    return location.strip("`").removeprefix("$").removeprefix("."), problem[0].lower() + problem[1:]


def _explain(error: msgspec.ValidationError) -> ApiError:
    param, problem = wrong_member(error)
    return invalid_parameter(param, problem) if param else not_json()
