"""A whole system with the web console, and a real browser."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from e2e.running import Tollgate, running_tollgate
from tollgate_local.engines import EngineAddresses

ENSURE = Path(__file__).parent / "ensure-chromium"


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def with_console(engines: EngineAddresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tollgate]:
    async with running_tollgate(engines, tmp_path_factory.mktemp("console"), with_console=True) as tollgate:
        yield tollgate


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser() -> AsyncIterator[Browser]:
    found = await asyncio.to_thread(subprocess.run, [str(ENSURE)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    async with async_playwright() as playwright:
        # Chromium's own sandbox does not work for root, as which containers run tests.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=found.stdout.strip(), args=arguments)
        yield browser
        await browser.close()
