"""The uvicorn server, which passes the connection of each request to the application."""

import contextlib
import signal
import socket
from types import FrameType
from typing import NoReturn

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tollgate_local.provider.app import Application
from tollgate_local.provider.http_exchange import CONNECTION_EXTENSION

_BACKLOG = 2_048
# A stalled response must not delay the shutdown.
_SHUTDOWN_SECONDS = 1


class DroppableProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the transport in each scope, because ASGI cannot close a connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {CONNECTION_EXTENSION: {"transport": self.transport}}


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; raise `OSError` if the address is in use or not local."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def serve(application: Application, listener: socket.socket) -> None:
    """Run until SIGINT or SIGTERM. Responses in progress are then recorded as broken."""
    # uvicorn raises the signal again after it stopped. Python's default action for SIGTERM would end the process before
    # the canceled responses are recorded.
    signal.signal(signal.SIGTERM, _leave)
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=DroppableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)
