"""Where the parts listen on this machine, and which ports are free."""

import random
import socket
from collections.abc import Mapping

from tollgate_local.errors import LocalError, PortTakenError

HOST = "127.0.0.1"
DEFAULT_PORTS = {
    "edge": 8080,
    "accounts": 8081,
    "billing": 8082,
    "balance": 8083,
    "analytics": 8084,
    "provider": 8090,
    "kafka": 19092,
    "kafka-controller": 19093,
    "postgres": 15432,
    "clickhouse": 18123,
}
BASE_VARIABLE = "TOLLGATE_PORT_BASE"
HIGHEST_PORT = 65_535
# Below the range from which the system draws ports for outgoing connections, so that none of those can take a port
# between our look and the server's bind.
LOWEST_FREE, HIGHEST_FREE = 20_000, 32_000


def variable(part: str) -> str:
    """The environment variable that sets a part's port."""
    return f"TOLLGATE_{part.upper().replace('-', '_')}_PORT"


def read_ports(environment: Mapping[str, str]) -> dict[str, int]:
    """Each part's port: its own variable, else its place after TOLLGATE_PORT_BASE, else the default.

    Raises:
        LocalError: a value is no port, or two parts would share one.
    """
    base = environment.get(BASE_VARIABLE)
    first = parse_port(BASE_VARIABLE, base, HIGHEST_PORT - len(DEFAULT_PORTS) + 1) if base else None
    ports: dict[str, int] = {}
    for place, (part, default) in enumerate(DEFAULT_PORTS.items()):
        own = environment.get(variable(part))
        port = parse_port(variable(part), own) if own else default if first is None else first + place
        for other, taken in ports.items():
            if port == taken:
                raise LocalError(
                    f"{part} and {other} would both listen on port {port}; set {variable(part)} to another"
                )
        ports[part] = port
    return ports


def parse_port(name: str, text: str, highest: int = HIGHEST_PORT) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= highest:
        raise LocalError(f"{name} is {text!r}; it must be a whole number from 1 to {highest}")
    return int(text)


def require_free(ports: Mapping[str, int]) -> None:
    """PortTakenError, naming all of them, when somebody else listens on a port of ours."""
    taken = [f"{port} (for {part}; {variable(part)} sets another)" for part, port in ports.items() if not is_free(port)]
    if taken:
        raise PortTakenError(f"taken by another program: port {', port '.join(taken)}")


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
        port = random.randint(LOWEST_FREE, HIGHEST_FREE)  # noqa: S311 - chance keeps runs apart; nothing secret hangs on it
        if is_free(port):
            return port
    raise PortTakenError(f"no free port found between {LOWEST_FREE} and {HIGHEST_FREE} in 200 tries")


def free_ports() -> dict[str, int]:
    """A free port for every part."""
    ports: dict[str, int] = {}
    while len(ports) < len(DEFAULT_PORTS):
        port = free_port()
        if port not in ports.values():
            ports[list(DEFAULT_PORTS)[len(ports)]] = port
    return ports
