"""A pid file tells the truth, whatever its writer's end was."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tollgate_local.errors import AlreadyRunningError
from tollgate_local.instance import only_one, running_pid

HOLDER = """
import sys, time
from pathlib import Path
from tollgate_local.instance import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_nobody_runs_before_and_after(tmp_path: Path) -> None:
    pid_file = tmp_path / "run" / "up.pid"
    assert running_pid(pid_file) is None

    with only_one(pid_file):
        assert running_pid(pid_file) == os.getpid()

    assert running_pid(pid_file) is None


def test_a_second_one_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "up.pid"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(pid_file)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert running_pid(pid_file) == holder.pid
        with pytest.raises(AlreadyRunningError, match=f"already running, as process {holder.pid}"), only_one(pid_file):
            pass
        holder.send_signal(signal.SIGKILL)

    assert running_pid(pid_file) is None
    with only_one(pid_file):
        assert running_pid(pid_file) == os.getpid()


def test_a_number_left_behind_is_nobodys(tmp_path: Path) -> None:
    pid_file = tmp_path / "up.pid"
    pid_file.write_text("1")

    assert running_pid(pid_file) is None
