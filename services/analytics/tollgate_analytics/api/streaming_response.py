"""Responses that are sent piece by piece and hold a resource, such as a query or a subscription, until they end."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

Source = AbstractAsyncContextManager[AsyncIterator[bytes]]


class HeldResponse(StreamingResponse):
    """Close the body when the client has gone, wherever the body was."""

    def __init__(self, body: AsyncGenerator[bytes, None], media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(body, media_type=media_type, headers=headers)
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._body.aclose()


async def stream_response(source: Source, media_type: str, headers: Mapping[str, str]) -> HeldResponse:
    """Enter `source` and respond with its pieces. Its exit runs when the response ends or the client disconnects.

    Raises:
        Whatever entering `source` raises, while the status can still be chosen.
    """
    return HeldResponse(await hold_open(source), media_type, headers)


async def hold_open(source: Source) -> AsyncGenerator[bytes, None]:
    """Enter `source` and return its pieces as a generator that exits `source` when it is closed.

    The generator has been started already, because closing one that never started would skip its cleanup.
    """
    stack = AsyncExitStack()
    generator = _pieces_of(stack, await stack.enter_async_context(source))
    await anext(generator)
    return generator


async def _pieces_of(stack: AsyncExitStack, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    async with stack:
        yield b""
        async for piece in pieces:
            yield piece
