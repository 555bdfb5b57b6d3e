"""A parser of server-sent events (html.spec.whatwg.org, "Server-sent events") for chunks that are cut anywhere.

Providers end lines with LF, CRLF or CR, start with a byte order mark, write no space after a colon, or write the data
of an event in several lines. `EventBuffer` returns one form of all of them, so that no other module knows of them.
"""

import re

BLANK_LINE = b"\n\n"
# A base64 image is one event. Anything larger than this is not an event.
MAX_EVENT_BYTES = 32 << 20
_BLANK_LINES = (BLANK_LINE, b"\r\n\r\n", b"\r\r")
_CR = ord(b"\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_DATA = b"data:"
_FIELDS = (b":", _DATA, b"event", b"id", b"retry")
# The escapes of a JSON text in order: a surrogate pair, a surrogate without its other half, any other escape.
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_REPLACEMENT = rb"\ufffd"


class EventTooLarge(Exception):
    pass


class EventBuffer:
    """Buffers chunks until they complete an event. The cost is linear in the bytes, even for large events."""

    __slots__ = ("_ends_with_cr", "_has_started", "_joins_lines", "_parts", "_size", "_tail")

    def __init__(self) -> None:
        # Empty if the next chunk may be returned as it is: not at the start, and not within an event or a line end.
        self._parts: list[bytes] = [b""]
        self._size = 0
        self._tail = b""
        self._ends_with_cr = False
        self._has_started = False
        self._joins_lines = False

    @property
    def has_partial_event(self) -> bool:
        return any(part.strip() for part in self._parts)

    def feed(self, chunk: bytes) -> bytes:
        """Add a chunk and return the events that it completes, each with its blank line.

        The lines of the result end with LF. The data of an event are in one line.

        Raises:
            EventTooLarge: the event has more than `MAX_EVENT_BYTES`.
        """
        # Almost every chunk of almost every stream.
        if not self._parts and chunk.endswith(BLANK_LINE) and _CR not in chunk:
            return chunk
        if _CR in chunk or self._ends_with_cr:
            chunk = self._with_lf(chunk)
        seam = self._tail + chunk
        self._parts.append(chunk)
        self._size += len(chunk)
        self._tail = seam[-1:]
        if BLANK_LINE not in seam:
            if self._size > MAX_EVENT_BYTES:
                raise EventTooLarge
            return b""
        data = b"".join(self._parts)
        end = data.rfind(BLANK_LINE) + len(BLANK_LINE)
        events, rest = data[:end], data[end:]
        if not self._has_started or self._joins_lines:
            events = self._examined(events)
        is_plain = self._has_started and not self._joins_lines and not self._ends_with_cr
        self._parts, self._size, self._tail = ([] if is_plain and not rest else [rest]), len(rest), rest[-1:]
        if self._size > MAX_EVENT_BYTES:
            raise EventTooLarge
        return events

    def _with_lf(self, chunk: bytes) -> bytes:
        """Return the chunk with LF as the only line end. A CRLF may be cut in half."""
        if self._ends_with_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._ends_with_cr = False
        if chunk:
            self._ends_with_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _examined(self, events: bytes) -> bytes:
        """Return the first events without a byte order mark, or any events with their data joined.

        The first event with data decides whether the provider writes several lines of data, because the others of its
        stream have the same form.
        """
        if not self._has_started:
            events = events.removeprefix(_BYTE_ORDER_MARK)
            self._has_started = _DATA in events
            self._joins_lines = any(_data_lines(event) > 1 for event in events.split(BLANK_LINE))
        return BLANK_LINE.join(map(_joined, events.split(BLANK_LINE))) if self._joins_lines else events


def _data_lines(event: bytes) -> int:
    return sum(line.startswith(_DATA) for line in event.split(b"\n"))


def _joined(event: bytes) -> bytes:
    """Return the event with all of its data in one line. A line end in JSON is a space: none can be in a string."""
    if _data_lines(event) <= 1:
        return event
    lines = event.split(b"\n")
    data = b" ".join(line[len(_DATA) :].strip() for line in lines if line.startswith(_DATA))
    return b"\n".join([*(line for line in lines if line and not line.startswith(_DATA)), b"data: " + data])


def event_data(event: bytes) -> bytes:
    """Return the data of an event without the field name, with valid Unicode; empty for a comment."""
    if event.startswith(b"data: ") and b"\n" not in event:
        data = event[6:].strip()
    else:
        data = b"\n".join(line[len(_DATA) :].strip() for line in event.split(b"\n") if line.startswith(_DATA))
    return valid_unicode(data) if b"\\u" in data or not data.isascii() else data


def valid_unicode(data: bytes) -> bytes:
    r"""Return JSON whose invalid characters are replaced by U+FFFD, as no JSON parser here accepts them.

    Servers that cut a text between two tokens send half of a surrogate pair (`\ud83d`), or half of a UTF-8 sequence.
    """
    if b"\\ud" in data or b"\\uD" in data:
        data = _ESCAPES.sub(lambda escape: _REPLACEMENT if escape[1] else escape[0], data)
    if not data.isascii():
        try:
            str(data, "utf-8")
        except UnicodeDecodeError:
            data = data.decode("utf-8", "replace").encode()
    return data


def first_data_event(data: bytes) -> bytes | None:
    """Return the first complete event with data at the start of a stream, with LF; None if there is none."""
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data
    events = lines.removeprefix(_BYTE_ORDER_MARK).split(BLANK_LINE)[:-1]
    return next((event for event in events if event_data(event)), None)


def is_comment(data: bytes) -> bool:
    """Whether the data are complete events without data, such as the comments that keep a connection alive."""
    return data.endswith(_BLANK_LINES) and first_data_event(data) is None


def has_sse_field(event: bytes) -> bool:
    """Whether any line is a field or a comment of the format. An HTML page has none."""
    return any(line.startswith(_FIELDS) for line in event.split(b"\n"))


def event_name(event: bytes) -> bytes:
    """Return the value of the `event:` line; empty if there is none."""
    if not event.startswith(b"event:"):
        return next((line[6:].strip() for line in event.split(b"\n") if line.startswith(b"event:")), b"")
    return event[6 : event.find(b"\n")].strip()
