"""Each service declares the packages that its modules import, with the extras of `tollgate-common` that it needs."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMON = ROOT / "libs/common"
MEMBERS = {path.parent.name: path.parent for path in sorted(ROOT.glob("services/*/pyproject.toml"))}
# Installed as a part of another distribution that is declared.
PART_OF = {"cryptography": "pyjwt", "psycopg-pool": "psycopg", "pydantic-core": "pydantic", "starlette": "fastapi"}
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[([\w,-]+)\])?")


@cache
def distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


def project(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return found


def names(requirements: list[str]) -> Iterator[str]:
    for requirement in requirements:
        match = _REQUIREMENT.match(requirement)
        assert match is not None
        yield match[1]


def declared_extras(folder: Path) -> set[str]:
    for requirement in project(folder)["dependencies"]:
        match = _REQUIREMENT.match(requirement)
        if match is not None and match[1] == "tollgate-common":
            return set((match[2] or "").split(",")) - {""}
    raise AssertionError(f"{folder} does not depend on tollgate-common")


def extras() -> dict[str, set[str]]:
    found: dict[str, list[str]] = project(COMMON)["optional-dependencies"]  # type: ignore[assignment]
    return {extra: set(names(requirements)) for extra, requirements in found.items()}


def imported_at_start(module: Path) -> Iterator[str]:
    """Names that the module imports when it is imported: not those inside its functions."""
    waiting: list[ast.AST] = [ast.parse(module.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting.extend(ast.iter_child_nodes(node))


def common_module(name: str) -> Path | None:
    """The file of `tollgate_common.a.b`, or of `tollgate_common.a` if `b` is a name in it."""
    for module in (name, name.rpartition(".")[0]):
        path = COMMON / Path(*module.split("."))
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.exists():
                return file
    return None


def needed_distributions(folder: Path) -> set[str]:
    needed: set[str] = set()
    seen: set[Path] = set()
    waiting = list(folder.glob("tollgate_*/**/*.py"))
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for name in imported_at_start(module):
            top = name.partition(".")[0]
            if top == "tollgate_common":
                shared = common_module(name)
                assert shared is not None, name
                waiting.append(shared)
            elif top not in sys.stdlib_module_names and not top.startswith("tollgate_"):
                needed.update(distribution.lower().replace("_", "-") for distribution in distributions()[top])
    return needed


@pytest.mark.parametrize("service", MEMBERS)
def test_a_service_declares_what_it_imports(service: str) -> None:
    folder = MEMBERS[service]
    declared = {*names(project(folder)["dependencies"]), *names(project(COMMON)["dependencies"])}
    for extra in declared_extras(folder):
        declared |= extras()[extra]
    missing = {name for name in needed_distributions(folder) if not {name, PART_OF.get(name)} & declared}
    assert missing == set()


@pytest.mark.parametrize("service", MEMBERS)
def test_a_service_declares_no_extra_in_vain(service: str) -> None:
    needed = {PART_OF.get(name, name) for name in needed_distributions(MEMBERS[service])}
    assert {extra for extra in declared_extras(MEMBERS[service]) if not extras()[extra] & needed} == set()


def test_every_extra_is_a_subpackage() -> None:
    for extra in extras():
        assert (COMMON / "tollgate_common" / extra / "__init__.py").exists()
