"""Where the parts listen on this machine, and which ports are free."""

import functools
import itertools
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from tollgate_local.errors import LocalError, PortTakenError
from tollgate_local.instance import lock

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
    "mails": 8091,
    "smtp": 8092,
    "console": 8085,
}
BASE_VARIABLE = "TOLLGATE_PORT_BASE"
HIGHEST_PORT = 65_535
# Below the range from which the system draws ports for outgoing connections, so that none of those can take a port
# between our look and the server's bind.
LOWEST_FREE, HIGHEST_FREE = 20_000, 32_000
# More than one process gives away at a time.
BLOCK = 50
# The same for every process of this machine, whatever its TMPDIR.
BLOCKS = Path("/tmp/tollgate-ports")  # noqa: S108 - nothing is written into it; the names are the machine's ports


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
    """A port that nobody listens on and that no other process is given here at the same time."""
    for port in itertools.islice(own_block(), BLOCK):
        if is_free(port):
            return port
    raise PortTakenError(f"every port of {BLOCK} tried is taken")


@functools.cache
def own_block() -> Iterator[int]:
    """Ports that are this process' own to give away, round and round, for as long as it lives.

    Between the look at a port and the server's bind lie seconds on a busy machine; runs side by side did meet there.
    So each process locks a block of ports. The lock's file stays open on purpose: the system lets go of it at the end.
    """
    if not BLOCKS.exists():
        BLOCKS.mkdir(exist_ok=True)
        BLOCKS.chmod(0o1777)  # every user makes the files of their own processes
    for first in range(LOWEST_FREE, HIGHEST_FREE, BLOCK):
        with suppress(PermissionError):  # the block of a process of another user, whose file is not for us to open
            descriptor = os.open(BLOCKS / str(first), os.O_RDWR | os.O_CREAT, 0o600)
            if lock(descriptor):
                return itertools.cycle(range(first, first + BLOCK))
            os.close(descriptor)
    raise PortTakenError(
        f"every block of ports from {LOWEST_FREE} to {HIGHEST_FREE} is given to a process; see {BLOCKS}"
    )


def free_ports() -> dict[str, int]:
    """A free port for every part."""
    return {part: free_port() for part in DEFAULT_PORTS}
