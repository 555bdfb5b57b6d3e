"""Ports on this machine: is one free, and which one is."""

import random
import socket

from tollgate_local.errors import PortTakenError

HOST = "127.0.0.1"
# Below the range from which the system draws ports for outgoing connections, so that none of those can take a port
# between our look and the server's bind.
LOWEST, HIGHEST = 20_000, 32_000


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Servers set this too: a port whose last connections are still closing is free for them.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port that nobody listens on, drawn at random so that runs side by side do not meet."""
    for _ in range(200):
        port = random.randint(LOWEST, HIGHEST)  # noqa: S311 - chance keeps runs apart; nothing secret hangs on it
        if is_free(port):
            return port
    raise PortTakenError(f"no free port found between {LOWEST} and {HIGHEST} in 200 tries")


def require_free(name: str, port: int, variable: str) -> None:
    if not is_free(port):
        raise PortTakenError(
            f"port {port} for {name} is taken; stop what listens there or set {variable} to another port"
        )
