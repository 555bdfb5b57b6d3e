"""A parser of server-sent events (html.spec.whatwg.org, "Server-sent events") for chunks that are cut anywhere."""

BLANK_LINE = b"\n\n"
# A base64 image is one event. Anything larger than this is not an event.
MAX_EVENT_BYTES = 32 << 20
_ENDS = (b"\n\n", b"\n\r\n")
_MAX_END = 3
_FIELDS = (b":", b"data", b"event", b"id", b"retry")


class EventTooLarge(Exception):
    pass


class EventBuffer:
    """Buffers chunks until they complete an event. The cost is linear in the bytes, even for large events."""

    __slots__ = ("_parts", "_size", "_tail")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._tail = b""

    @property
    def has_partial_event(self) -> bool:
        return any(part.strip() for part in self._parts)

    def feed(self, chunk: bytes) -> bytes:
        """Add a chunk and return the events that it completes, each with its blank line.

        Raises:
            EventTooLarge: the event has more than `MAX_EVENT_BYTES`.
        """
        if not self._parts and chunk.endswith(BLANK_LINE):
            return chunk
        seam = self._tail + chunk
        self._parts.append(chunk)
        self._size += len(chunk)
        self._tail = seam[-_MAX_END:]
        if not any(end in seam for end in _ENDS):
            if self._size > MAX_EVENT_BYTES:
                raise EventTooLarge
            return b""
        data = b"".join(self._parts).replace(b"\r\n", b"\n")
        end = data.rfind(BLANK_LINE) + len(BLANK_LINE)
        if end < len(BLANK_LINE):
            return b""
        rest = data[end:]
        self._parts, self._size, self._tail = ([rest] if rest else []), len(rest), rest[-_MAX_END:]
        if self._size > MAX_EVENT_BYTES:
            raise EventTooLarge
        return data[:end]


def event_data(event: bytes) -> bytes:
    """Return the data of an event without the field name; empty for a comment."""
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:].strip()
    return b"\n".join(line.removeprefix(b"data:").strip() for line in event.split(b"\n") if line.startswith(b"data:"))


def has_sse_field(event: bytes) -> bool:
    """Whether any line is a field or a comment of the format. An HTML page has none."""
    return any(line.startswith(_FIELDS) for line in event.split(b"\n"))


def event_name(event: bytes) -> bytes:
    """Return the value of the `event:` line; empty if there is none."""
    if not event.startswith(b"event:"):
        return next((line[6:].strip() for line in event.split(b"\n") if line.startswith(b"event:")), b"")
    return event[6 : event.find(b"\n")].strip()
