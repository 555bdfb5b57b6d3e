"""A real browser."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser, async_playwright

ENSURE = Path(__file__).parent / "ensure-chromium"


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    found = await asyncio.to_thread(subprocess.run, [str(ENSURE)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    async with async_playwright() as playwright:
        # Chromium's sandbox does not work for root, and containers run tests as root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=found.stdout.strip(), args=arguments)
        yield browser
        await browser.close()
