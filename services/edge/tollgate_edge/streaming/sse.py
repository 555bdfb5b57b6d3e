"""Server-sent events out of bytes that the network cut anywhere: html.spec.whatwg.org, "Server-sent events"."""

BLANK_LINE = b"\n\n"
# Base64 images come as one event; what is larger than this is no event.
MAX_EVENT_BYTES = 32 << 20
_ENDS = (b"\n\n", b"\n\r\n")
_MAX_END = 3
_FIELDS = (b":", b"data", b"event", b"id", b"retry")


class EventTooLarge(Exception):  # noqa: N818 - says what happened
    pass


class EventBuffer:
    """Keeps what is no whole event yet. Its cost is that of the bytes, however large an event is."""

    __slots__ = ("_parts", "_size", "_tail")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._tail = b""

    @property
    def has_partial_event(self) -> bool:
        return any(part.strip() for part in self._parts)

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes; return the whole events that they complete, each with its blank line.

        Raises:
            EventTooLarge: there is no end to it.
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
    """The data of an event, without its field name; empty for a comment."""
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:].strip()
    return b"\n".join(line.removeprefix(b"data:").strip() for line in event.split(b"\n") if line.startswith(b"data:"))


def has_sse_field(event: bytes) -> bool:
    """Whether it has a line of the format at all, were it a comment: a page of HTML has none."""
    return any(line.startswith(_FIELDS) for line in event.split(b"\n"))


def event_name(event: bytes) -> bytes:
    """What its `event:` line says, empty without one."""
    if not event.startswith(b"event:"):
        return next((line[6:].strip() for line in event.split(b"\n") if line.startswith(b"event:")), b"")
    return event[6 : event.find(b"\n")].strip()
