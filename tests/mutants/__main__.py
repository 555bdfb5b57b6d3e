"""Mutation testing of the pure modules: `make mutants`, or `python -m mutants NAME ...` for some of them.

Cosmic Ray changes one operator or constant at a time in a copy of the project and runs the tests that prove the module.
A mutant that survives is a line that no test holds. The report lists each with its diff. It takes minutes a module, so
it is not a part of `make test`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("libs/common", "services/edge", "services/balance")


class Target(NamedTuple):
    module: str
    tests: tuple[str, ...]
    timeout_s: int = 60


TARGETS = {
    "rating": Target("libs/common/tollgate_common/rating.py", ("tests/common/test_rating.py",)),
    "sequence": Target("libs/common/tollgate_common/sequence.py", ("tests/common/test_sequence.py",)),
    "insert_state": Target(
        "libs/common/tollgate_common/clickhouse/insert_state.py", ("tests/models/test_sinks.py",), 180
    ),
    "ledger": Target("services/balance/tollgate_balance/ledger/accounts.py", ("tests/models", "tests/balance"), 180),
    "balance_leases": Target(
        "services/balance/tollgate_balance/leases/rules.py", ("tests/models", "tests/balance"), 180
    ),
    "edge_leases": Target(
        "services/edge/tollgate_edge/credit/leases/state.py", ("tests/models", "tests/edge/test_leases.py"), 180
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=list(TARGETS), help=f"some of {', '.join(TARGETS)}; all by default")
    for name in parser.parse_args().names:
        if name not in TARGETS:
            raise SystemExit(f"there is no target {name!r}: it may be {', '.join(TARGETS)}")
        print(f"== {name}: {TARGETS[name].module}", flush=True)
        print(survivors(TARGETS[name]), flush=True)


def survivors(target: Target) -> str:
    """Cosmic Ray's report of the mutants that no test of the target killed."""
    with tempfile.TemporaryDirectory(prefix="tollgate-mutants-") as folder:
        copy = Path(folder) / "project"
        ignored = shutil.ignore_patterns(
            ".git", ".venv", ".cache", ".run", ".mypy_cache", ".ruff_cache", "node_modules"
        )
        shutil.copytree(PROJECT, copy, ignore=ignored)
        (copy / "mutants.toml").write_text(
            "[cosmic-ray]\n"
            f'module-path = "{target.module}"\n'
            f"timeout = {target.timeout_s}.0\n"
            "excluded-modules = []\n"
            f'test-command = "{_test_command(target)}"\n'
            '[cosmic-ray.distributor]\nname = "local"\n'
        )
        # The copy's packages go before those that the environment was installed from.
        path = os.pathsep.join(str(copy / package) for package in PACKAGES)
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        for step in (
            ["baseline", "mutants.toml"],
            ["init", "mutants.toml", "session"],
            ["exec", "mutants.toml", "session"],
        ):
            subprocess.run([_tool("cosmic-ray"), *step], cwd=copy, env=environment, check=True)
        report = [_tool("cr-report"), "session", "--show-diff", "--surviving-only"]
        return subprocess.run(report, cwd=copy, env=environment, check=True, capture_output=True, text=True).stdout


def _test_command(target: Target) -> str:
    unmarked = "not engines and not live and not e2e and not chaos"
    return f"{sys.executable} -m pytest -x -q -p no:cacheprovider -m '{unmarked}' {' '.join(target.tests)}"


def _tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


if __name__ == "__main__":
    main()
