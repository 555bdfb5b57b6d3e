"""Answers that are written piece by piece and hold something meanwhile."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


async def holding(held: AsyncExitStack, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """`pieces`, begun already, so that closing it lets go of what is held even if nobody ever reads it."""
    begun = _holding(held, pieces)
    await anext(begun)
    return begun


async def _holding(held: AsyncExitStack, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    async with held:
        yield b""
        async for piece in pieces:
            yield piece


class HoldingResponse(StreamingResponse):
    """Closes its body when the client has gone, wherever it was."""

    def __init__(self, body: AsyncGenerator[bytes, None], media_type: str, headers: dict[str, str]) -> None:
        super().__init__(body, media_type=media_type, headers=headers)
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._body.aclose()
