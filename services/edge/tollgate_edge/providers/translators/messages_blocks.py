"""The events of a streamed message, written block by block.

Anthropic's content blocks follow one another, while OpenAI's deltas may alternate between tool calls. The first open
block is sent as it arrives. The deltas of later blocks wait until it is complete, which is at the latest at the end of
the response. Source: docs.anthropic.com/en/docs/build-with-claude/streaming.
"""

from collections.abc import Hashable
from typing import Any

import msgspec

from tollgate_edge.providers.translators.base import Json, named_event
from tollgate_edge.usage.token_counting import count_text

_decoder: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])
_DELTAS = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool_use": ("input_json_delta", "partial_json"),
}
PING_EVENT = named_event({"type": "ping"})


class Block:
    """A content block."""

    __slots__ = ("closing", "has_end", "head", "is_done", "is_empty", "key", "pending", "text")

    def __init__(self, key: Hashable, head: Json, *, has_end: bool = False) -> None:
        """Create a block that is not sent yet.

        Args:
            key: distinguishes it from the blocks before it.
            head: its start.
            has_end: whether the provider states its end. Otherwise the next block may end it.
        """
        self.key = key
        self.head = head
        self.has_end = has_end
        self.text = ""
        """The arguments of a call so far."""
        self.pending = ""
        """Text that is not sent yet."""
        self.closing: Json | None = None
        """The delta before the block's end."""
        self.is_done = False
        self.is_empty = True

    @property
    def is_complete(self) -> bool:
        """Whether nothing can follow in this block, once another one has begun."""
        if self.is_done or self.has_end:
            return self.is_done
        return self.head["type"] != "tool_use" or is_object(self.text)


def new_head(kind: str) -> Json:
    """Return an empty block of text or thinking."""
    return {"type": kind, kind: ""} | ({"signature": ""} if kind == "thinking" else {})


def signature_delta(signature: str) -> Json:
    return {"type": "signature_delta", "signature": signature}


def is_object(text: str) -> bool:
    try:
        _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


class MessageBlocks:
    """The blocks of one message. Each method returns the events that can be sent."""

    def __init__(self) -> None:
        self._open: list[Block] = []
        self._is_started = False
        self._index = 0
        self._texts: list[str] = []

    @property
    def last(self) -> Block | None:
        return self._open[-1] if self._open else None

    def output_tokens(self) -> int:
        """Count the tokens of what was sent."""
        return count_text("".join(self._texts))

    def begin(self, block: Block) -> bytes:
        self._open.append(block)
        return self._advance()

    def add(self, block: Block, text: str) -> bytes:
        """Add to a block that is open; what follows the end of a block is dropped."""
        block.is_empty = block.is_empty and not text
        if block.head["type"] == "tool_use":
            block.text += text
        block.pending += text
        return self._advance()

    def write(self, kind: str, text: str, signature: str = "") -> bytes:
        """Add a text or a thought to the last block, or begin a block with it."""
        block = self.last
        if block is None or block.key != kind:
            block = Block(kind, new_head(kind))
            if signature:
                block.closing = signature_delta(signature)
            self._open.append(block)
        return self.add(block, text)

    def end(self, block: Block) -> bytes:
        block.is_done = True
        return self._advance()

    def finish(self) -> bytes:
        """End every block."""
        for block in self._open:
            block.is_done = True
        return self._advance()

    def _advance(self) -> bytes:
        events = b""
        while self._open:
            block = self._open[0]
            events += self._send(block)
            if not (block.is_done or (len(self._open) > 1 and block.is_complete)):
                break
            if block.closing is not None:
                events += self._delta(block.closing)
            events += named_event({"type": "content_block_stop", "index": self._index})
            self._open.pop(0)
            self._is_started = False
            self._index += 1
        return events

    def _send(self, block: Block) -> bytes:
        events = b""
        if not self._is_started:
            self._is_started = True
            self._texts.append(block.head.get("name") or "")
            start = {"type": "content_block_start", "index": self._index, "content_block": block.head}
            events = named_event(start)
        if block.pending:
            kind, name = _DELTAS[block.head["type"]]
            self._texts.append(block.pending)
            events += self._delta({"type": kind, name: block.pending})
            block.pending = ""
        return events

    def _delta(self, delta: Json) -> bytes:
        return named_event({"type": "content_block_delta", "index": self._index, "delta": delta})
