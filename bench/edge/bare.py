"""A bare forwarding proxy with the edge's server and HTTP client, as the baseline of the edge's own cost.

It does not authenticate, count or parse anything: the minimum cost of forwarding with these two.
"""

import sys
from typing import Any

import uvicorn
from pyreqwest.client import ClientBuilder
from pyreqwest.http import Url


class BareProxy:
    def __init__(self, upstream: str) -> None:
        self._client = (
            ClientBuilder()
            .default_headers({"content-type": "application/json", "authorization": "Bearer sk-bench"})
            .gzip(enable=False)
            .brotli(enable=False)
            .zstd(enable=False)
            .deflate(enable=False)
            .follow_redirects(enable=False)
            .no_proxy()
            .build()
        )
        self._url = Url(f"{upstream}/chat/completions")

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        request = self._client.post(self._url).body_bytes(body)
        if b'"stream":true' in body:
            await self._stream(request, send)
        else:
            response = await request.build().send()
            content = bytes(await response.bytes())
            length = (b"content-length", b"%d" % len(content))
            headers = [(b"content-type", b"application/json"), length]
            await send({"type": "http.response.start", "status": response.status, "headers": headers})
            await send({"type": "http.response.body", "body": content})

    async def _stream(self, request: Any, send: Any) -> None:
        async with request.streamed_read_buffer_limit(1).build_streamed() as response:
            headers = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": response.status, "headers": headers})
            while (chunk := await response.body_reader.read_chunk()) is not None:
                await send({"type": "http.response.body", "body": bytes(chunk), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def main() -> None:
    port, upstream = int(sys.argv[1]), sys.argv[2]
    uvicorn.run(
        BareProxy(upstream),
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
