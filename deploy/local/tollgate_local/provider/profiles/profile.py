"""The fields of a profile. A profile is data; the encoders read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import Any, Final

from tollgate_local.provider.errors import ApiError
from tollgate_local.provider.profiles.truth import Counts, Finish, Truth

Json = dict[str, Any]
Members = dict[str, Any]
# The path of a member, with dots, and what it states: the name of a property of `Counts`, or a constant. Constant texts
# begin with `=`.
UsageShape = dict[str, Any]


class Protocol(StrEnum):
    """The protocol of a profile. The value is the path of its endpoint."""

    CHAT = "/v1/chat/completions"
    MESSAGES = "/v1/messages"
    GEMINI = "/v1beta/models/"


class Place(Enum):
    """Where a stream of chat completions states its usage."""

    OWN_CHUNK = auto()
    """A last chunk with `choices: []`."""
    OWN_CHUNK_WITH_CHOICE = auto()
    """A last chunk with an empty delta."""
    FINISH_CHUNK = auto()
    """The chunk with the finish reason."""
    CHOICE = auto()
    """`usage` of the choice with the finish reason, not of the chunk."""
    X_GROQ = auto()
    """`x_groq.usage` of the chunk with the finish reason."""
    EVERY_CHUNK = auto()
    """Each chunk states the usage so far."""
    WHOLE_RESPONSE = auto()
    """A last event with the complete response, as without a stream."""


class Stated(StrEnum):
    """A class of tokens that the usage separates from the rest of the prompt or of the output."""

    CACHED = "cached"
    WRITTEN = "written"
    REASONING = "reasoning"


class Idle(Enum):
    """What chunks without the usage have as `usage`."""

    ABSENT = auto()
    NULL = auto()
    NULL_IF_ASKED = auto()
    """Null in a stream whose client asked for the usage, absent in others."""


ErrorShape = Callable[[ApiError], tuple[int, Any]]
"""Returns the HTTP status and the JSON body of an error."""

EVERYTHING_STATED: Final = frozenset(Stated)
_SAME_REASONS: Final = {reason: reason.value for reason in Finish}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one provider responds."""

    name: str
    source: str
    """Where the shapes are from: a URL, or a repository, a path and a commit."""
    usage: UsageShape
    error: ErrorShape
    protocol: Protocol = Protocol.CHAT
    states: frozenset[Stated] = EVERYTHING_STATED
    cache_needs_mark: bool = False
    """Whether only a prompt with `cache_control` is written to the cache."""

    places: frozenset[Place] = frozenset({Place.OWN_CHUNK})
    places_if_asked: frozenset[Place] = frozenset({Place.OWN_CHUNK})
    """The places that are used only if the client asks for `stream_options.include_usage`."""
    idle_usage: Idle | UsageShape = Idle.ABSENT

    reasoning_member: str | None = None
    """The member with the text of the reasoning; None if the provider does not show it."""
    reasoning_extra: Callable[[str], Json] | None = None
    """Returns further members beside the text of the reasoning."""
    content_is_parts: bool = False
    """Whether reasoning and the text after it are parts of `content`."""
    calls_are_whole: bool = False
    """Whether a stream sends a tool call in one chunk."""

    id_prefix: str = "chatcmpl-"
    body: Members = field(default_factory=dict)
    """Further members of a complete response."""
    chunk: Members = field(default_factory=dict)
    """Further members of each chunk."""
    first_chunk: Members = field(default_factory=dict)
    """Further members of the chunk with the role."""
    last_body: Callable[[Counts], Json] | None = None
    """Returns further members of a complete response and of a stream's last chunk."""
    choice: Members = field(default_factory=dict)
    message: Members = field(default_factory=dict)
    delta: Members = field(default_factory=dict)
    """Members that each delta with text or reasoning has, unless it sets them itself."""
    first_delta: Members | None = field(default_factory=lambda: {"role": "assistant", "content": ""})
    """The delta of the first chunk; None if the first chunk already has text."""
    last_delta: Members = field(default_factory=dict)
    choice_text: Callable[[str], Json] | None = None
    """Returns further members of a choice with text."""
    finish_reasons: Mapping[Finish, str] = field(default_factory=lambda: _SAME_REASONS)
    choice_of_finish: Callable[[Finish], Json] | None = None
    """Returns further members of the choice with the finish reason."""
    omits_null_finish: bool = False

    preamble: tuple[str, ...] = ()
    """Complete events before the first chunk, without their line ends."""
    data_prefix: bytes = b"data: "
    line_end: bytes = b"\n"
    done: bool = True
    """Whether a stream ends with `data: [DONE]`."""
    stream_error: Callable[["Profile", ApiError, Truth], bytes] | None = None
    """Returns the events of an error after the status line. By default they are one event with the error's body."""

    def event(self, data: bytes, name: str = "") -> bytes:
        """Return one event of a stream, with its blank line."""
        named = b"event: " + name.encode() + self.line_end if name else b""
        return named + self.data_prefix + data + self.line_end + self.line_end

    def stated(self, counts: Counts, shape: UsageShape | None = None) -> Json:
        """Return the usage object that states `counts`."""
        usage: Json = {}
        for path, source in (self.usage if shape is None else shape).items():
            *parents, name = path.split(".")
            inner = usage
            for parent in parents:
                inner = inner.setdefault(parent, {})
            inner[name] = _stated(counts, source) if isinstance(source, str) else source
        return usage


def _stated(counts: Counts, source: str) -> Any:
    return source.removeprefix("=") if source.startswith("=") else getattr(counts, source)
