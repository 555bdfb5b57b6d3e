import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.provider.running import RunningProvider

pytestmark = [pytest.mark.live]


def start(**settings: str) -> subprocess.CompletedProcess[str]:
    """A start that must fail by itself."""
    environment = os.environ | {f"TOLLGATE_PROVIDER_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "tollgate_local.provider"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_taken_port_is_one_line(provider: RunningProvider) -> None:
    failed = start(PORT=str(provider.port))
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert f"cannot start on 127.0.0.1:{provider.port}" in failed.stderr
    assert "in use" in failed.stderr


def test_a_journal_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    failed = start(PORT="0", JOURNAL=str(tmp_path / "missing" / "journal"))
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "missing/journal" in failed.stderr


def test_a_wrong_setting_is_named() -> None:
    failed = start(PORT="eighty")
    assert failed.returncode == 2
    assert "TOLLGATE_PROVIDER_PORT is 'eighty'" in failed.stderr
