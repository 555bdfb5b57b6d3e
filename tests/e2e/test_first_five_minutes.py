"""The example of the documentation is what a newcomer runs first: it must do what it says."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.running import Tollgate

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

EXAMPLE = Path(__file__).parents[2] / "docs/examples/first_five_minutes.py"


async def test_the_first_five_minutes(tollgate: Tollgate) -> None:
    services = ("edge", "accounts", "balance", "analytics", "mails")
    environment = {f"TOLLGATE_{name.upper()}_URL": tollgate.system.url(name) for name in services}
    environment["TOLLGATE_PROMO_CODE"] = await tollgate.create_promo_code("10")
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(EXAMPLE)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    acts = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert acts == [
        "key.revoked",
        "key.leaked",
        "key.rotated",
        "key.created",
        "member.joined",
        "invitation.sent",
        "key.created",
        "project.created",
        "promo_code.redeemed",
        "organisation.created",
    ]
