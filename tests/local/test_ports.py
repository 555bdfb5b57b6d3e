"""Where parts listen: the defaults, what the environment changes, and what is refused."""

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tollgate_local.errors import LocalError, PortTakenError
from tollgate_local.ports import DEFAULT_PORTS, HOST, free_port, free_ports, is_free, read_ports, require_free


def test_defaults_do_not_meet() -> None:
    assert read_ports({}) == DEFAULT_PORTS


def test_a_part_is_moved_by_its_own_variable() -> None:
    assert read_ports({"TOLLGATE_KAFKA_CONTROLLER_PORT": "9999"}) == DEFAULT_PORTS | {"kafka-controller": 9999}


def test_a_base_moves_all_that_are_not_set_by_themselves() -> None:
    ports = read_ports({"TOLLGATE_PORT_BASE": "30000", "TOLLGATE_POSTGRES_PORT": "5433"})

    assert ports["edge"] == 30000
    assert ports["postgres"] == 5433
    moved = [ports[part] for part in DEFAULT_PORTS if part != "postgres"]
    assert moved == [30000 + place for place, part in enumerate(DEFAULT_PORTS) if part != "postgres"]


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert read_ports({"TOLLGATE_EDGE_PORT": "", "TOLLGATE_PORT_BASE": ""}) == DEFAULT_PORTS


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1", "80.5", " 80", "²"])
def test_what_is_no_port_is_refused(value: str) -> None:
    with pytest.raises(LocalError, match=r"TOLLGATE_EDGE_PORT is .* must be a whole number from 1 to 65535"):
        read_ports({"TOLLGATE_EDGE_PORT": value})


def test_a_base_without_room_above_it_is_refused() -> None:
    highest = 65_536 - len(DEFAULT_PORTS)
    assert max(read_ports({"TOLLGATE_PORT_BASE": str(highest)}).values()) == 65_535

    with pytest.raises(LocalError, match=f"TOLLGATE_PORT_BASE is '{highest + 1}'; it must be .* to {highest}"):
        read_ports({"TOLLGATE_PORT_BASE": str(highest + 1)})


def test_two_parts_on_one_port_are_refused() -> None:
    with pytest.raises(LocalError, match="accounts and edge would both listen on port 8081; set TOLLGATE_ACC"):
        read_ports({"TOLLGATE_EDGE_PORT": "8081"})


def test_taken_ports_are_named_with_what_moves_them() -> None:
    with socket.create_server((HOST, free_port())) as listener:
        taken = listener.getsockname()[1]
        assert not is_free(taken)

        with pytest.raises(PortTakenError, match=rf"port {taken} \(for edge; TOLLGATE_EDGE_PORT sets another\)$"):
            require_free({"edge": taken, "billing": free_port()})

    assert is_free(taken)


def test_another_process_is_given_other_ports() -> None:
    program = "from tollgate_local.ports import free_ports; print(*free_ports().values())"
    ours = set(free_ports().values())

    with ThreadPoolExecutor() as threads:
        theirs = list(threads.map(lambda _: subprocess.check_output([sys.executable, "-c", program]).split(), range(3)))

    assert all(ours.isdisjoint(map(int, ports)) for ports in theirs)


def test_free_ports_are_one_for_each_part() -> None:
    ports = free_ports()

    assert ports.keys() == DEFAULT_PORTS.keys()
    assert len(set(ports.values())) == len(ports)
