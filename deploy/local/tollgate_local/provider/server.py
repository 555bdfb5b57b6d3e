"""Serves an ASGI application with uvicorn and hands it each request's connection."""

import contextlib
import signal
import socket
from types import FrameType
from typing import NoReturn

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tollgate_local.provider.app import Application
from tollgate_local.provider.exchange import CONNECTION_EXTENSION

_BACKLOG = 2_048
# A stalled or hanging answer must not keep the process alive when it is told to stop.
_SHUTDOWN_SECONDS = 1


class DroppableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, whose requests carry their transport: ASGI has no word for dropping a connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {CONNECTION_EXTENSION: {"transport": self.transport}}


def bind(host: str, port: int) -> socket.socket:
    """A listening address; `OSError` when it is taken or not of this machine."""
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
    """Runs until SIGINT or SIGTERM; answers that are under way then end as broken."""
    # uvicorn raises the signal again as soon as it has stopped. Python's own way with SIGTERM would end the process
    # there, before the cancelled answers were recorded.
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
