"""A customer's way through the console in a real browser, on a whole system."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import openai
import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from e2e.running import Tollgate
from waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

PASSWORD = "correct horse battery"
WITHIN_MS = 15_000


@asynccontextmanager
async def page_of(browser: Browser, tollgate: Tollgate) -> AsyncIterator[Page]:
    """A page in a browser of its own, which must report no error of a script and nothing that the policy blocked."""
    context = await browser.new_context(base_url=tollgate.system.url("console"), timezone_id="Asia/Kolkata")
    context.set_default_timeout(WITHIN_MS)
    page = await context.new_page()
    told: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            told.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: told.append(str(error)))
    yield page
    await context.close()
    assert not told


async def sign_up(page: Page, email: str, promo_code: str) -> None:
    await page.goto("/sign-up")
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_label("Promo code").fill(promo_code)
    await page.get_by_role("button", name="Sign up").click()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()


async def test_from_sign_up_to_a_revoked_key(browser: Browser, with_console: Tollgate) -> None:
    code = await with_console.create_promo_code("10")
    async with page_of(browser, with_console) as page:
        await sign_up(page, "ada@example.com", code)
        await expect(page.locator(".tile").filter(has_text="Credit left")).to_contain_text("$10.00")

        await page.get_by_role("link", name="Create an API key").click()
        await page.get_by_label("Name").fill("laptop")
        await page.get_by_text("Limits and budgets").click()
        await page.get_by_label("USD a day").fill("2.50")
        await page.get_by_role("button", name="Create the key").click()
        made = page.get_by_role("dialog", name=re.compile("laptop"))
        key = await made.get_by_text(re.compile(r"^tg_\w+$")).inner_text()
        await expect(made).to_contain_text(f"curl {with_console.base_url}/chat/completions")
        await made.get_by_role("button", name="I have kept it").click()
        await expect(page.get_by_role("row").filter(has_text="laptop")).to_contain_text("$2.50 a day")
        assert key not in await page.content()

        await page.get_by_role("link", name="Overview").click()
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
        await with_console.until_known(key)
        async with openai.AsyncOpenAI(base_url=with_console.base_url, api_key=key, max_retries=0) as client:
            answer = await client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "Count to three"}]
            )
        assert answer.usage is not None
        cost_nano = answer.usage.prompt_tokens * 2_500 + answer.usage.completion_tokens * 10_000
        cost = f"${cost_nano / 1e9:.9f}".rstrip("0")
        # Nothing was loaded anew: the stream tells of the request, and then the sums are asked for.
        feed = page.get_by_role("region", name="Requests as they happen").get_by_role("row").filter(has_text="gpt-4o")
        await expect(feed).to_contain_text(str(answer.usage.total_tokens))
        await expect(feed).to_contain_text("laptop")
        for table, name in (("By model", "gpt-4o"), ("By API key", "laptop")):
            found = page.get_by_role("region", name=table).get_by_role("row").filter(has_text=name)
            await expect(found).to_contain_text(cost)
        await expect(page.locator(".tile").filter(has_text="Credit left")).to_contain_text(re.compile(r"\$9\.99\d\d"))

        await page.get_by_role("link", name="API keys").click()
        await page.get_by_role("button", name="Revoke laptop").click()
        await page.get_by_role("button", name="Revoke the key").click()
        await expect(page.get_by_role("row").filter(has_text="laptop")).to_contain_text("revoked")
        await until(lambda: is_refused(with_console, key))
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert await page.evaluate("localStorage.length + sessionStorage.length") == 0


async def is_refused(tollgate: Tollgate, key: str) -> bool:
    async with openai.AsyncOpenAI(base_url=tollgate.base_url, api_key=key, max_retries=0) as client:
        try:
            await client.models.list()
        except openai.AuthenticationError as error:
            return error.status_code == 401
    return False
