"""The list of crash points is one: in the code, in the docs, and in the tests that hold them."""

import re
import signal
import subprocess
import sys
from pathlib import Path

from chaos.test_crash_points import CHAINS
from tollgate_common.crash_points import CrashPoint

DOCS = Path(__file__).resolve().parents[2] / "docs" / "crash-points.md"
ROW = re.compile(r"^\| `([a-z_.]+)` \|.*\| (chain|spool) \|$", re.MULTILINE)


def test_the_docs_have_a_row_for_each_point() -> None:
    named = [name for name, _ in ROW.findall(DOCS.read_text())]
    assert sorted(named) == sorted(CrashPoint)


def test_each_point_is_held_by_the_test_that_the_docs_name() -> None:
    chained = sorted(name for name, test in ROW.findall(DOCS.read_text()) if test == "chain")
    assert chained == sorted(point for points in CHAINS.values() for point in points)
    spooled = (Path(__file__).resolve().parents[1] / "edge" / "test_kafka_away.py").read_text()
    for point in set(CrashPoint) - {point for points in CHAINS.values() for point in points}:
        assert f"CrashPoint.{point.name}" in spooled


def test_each_point_is_somewhere_in_the_code() -> None:
    root = Path(__file__).resolve().parents[2]
    code = "".join(path.read_text() for folder in ("libs", "services") for path in (root / folder).rglob("*.py"))
    for point in CrashPoint:
        assert code.count(f"reach(CrashPoint.{point.name}") == 1, point


PROGRAM = """
from tollgate_common.crash_points import CrashPoint, arm, reach
arm(CrashPoint("sink.after_insert"))
reach(CrashPoint.BEFORE_INSERT)
reach(CrashPoint.AFTER_INSERT, lambda: False)
print("lives", flush=True)
reach(CrashPoint.AFTER_INSERT)
print("lives on")
"""


def test_a_process_dies_at_its_point_and_nowhere_else() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "lives\n"), ended.stderr


def test_a_point_that_does_not_exist_is_refused_at_the_start() -> None:
    environment = {"TOLLGATE_CRASH_AT": "sink.nowhere", "TOLLGATE_KAFKA_BOOTSTRAP": "127.0.0.1:9", "TOLLGATE_PORT": "1"}
    command = "from tollgate_common.settings import ServiceSettings, load; load(ServiceSettings)"
    ended = subprocess.run(
        [sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "TOLLGATE_CRASH_AT" in ended.stderr
    assert "'sink.after_insert'" in ended.stderr
