"""The image is built by hand and by operators; here its parts are held to agree with the project's."""

import importlib.util
import re
import subprocess

from deploy.image import DOCKERFILE, ENTRY_POINT, ROOT, SERVICES, environment, instruction
from tollgate_edge.settings import EdgeSettings
from tollgate_local.console import OLDEST_NODE


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ENTRY_POINT, *arguments], capture_output=True, text=True, check=False)


def test_its_base_is_pinned_and_new_enough() -> None:
    version = re.search(r"^ARG BASE=python:3\.(\d+)\.\d+-slim-", DOCKERFILE, re.MULTILINE)
    assert version is not None
    assert int(version[1]) >= 11
    node = re.search(r"^ARG NODE=node:(\d+)\.\d+\.\d+-", DOCKERFILE, re.MULTILINE)
    assert node is not None
    assert int(node[1]) >= OLDEST_NODE


def test_it_has_every_service_with_its_own_lock_file() -> None:
    named = re.search(r'^ARG SERVICES="(.+)"', DOCKERFILE, re.MULTILINE)
    assert named is not None
    assert tuple(named[1].split()) == SERVICES
    assert {path.name for path in (ROOT / "services").iterdir() if (path / "pyproject.toml").exists()} == set(SERVICES)
    for name in (*SERVICES, "local", "bootstrap"):
        assert "--hash=sha256:" in (ROOT / f"requirements/{name}.txt").read_text()


def test_it_is_not_root_and_says_so_by_number() -> None:
    user, group = instruction("USER").split(":")
    assert int(user) > 0
    assert int(group) > 0


def test_its_settings_are_ones_that_the_edge_reads() -> None:
    fields = {f"TOLLGATE_{name.upper()}" for name in EdgeSettings.model_fields}
    assert environment().keys() <= fields
    assert environment()["TOLLGATE_SPOOL_DIR"] in instruction("VOLUME")
    assert environment()["TOLLGATE_PORT"] == instruction("EXPOSE")


def test_every_word_of_its_entry_point_is_a_program() -> None:
    branches = re.findall(r"^([a-z |]+)\) module=\"?([a-z_$.]+)\"?", ENTRY_POINT.read_text(), re.MULTILINE)
    modules = [module.replace("$name", name) for names, module in branches for name in names.split(" | ")]
    assert {f"tollgate_{service}.main" for service in SERVICES} < set(modules)
    for module in modules:
        assert importlib.util.find_spec(module), module


def test_what_is_no_service_is_told_how_to_say_it() -> None:
    for arguments in ((), ("nonsense",)):
        done = run(*arguments)
        assert done.returncode == 64
        assert "usage: tollgate-service" in done.stderr


def test_what_leaves_the_machine_for_a_build_is_listed() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert not [line for line in lines if line.startswith("!") and not (ROOT / line[1:]).exists()]
