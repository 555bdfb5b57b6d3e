"""A provider's stream whose bytes are known."""

from collections.abc import Iterable


class RecordedChunks:
    """The `ResponseChunks` of a stream that arrives in these parts."""

    content_type = "text/event-stream"
    usage = None

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)

    async def read(self) -> bytes | None:
        return next(self._parts, None)

    async def read_to_end(self) -> None:
        pass
