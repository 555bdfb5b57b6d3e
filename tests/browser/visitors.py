"""Actions of a person in a browser."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, expect

from e2e.running import Tollgate
from waiting import PATIENCE_S, until

PASSWORD = "correct horse battery"
WITHIN_MS = PATIENCE_S * 1_000
# The message that a browser logs for every error response. Some tests expect such responses.
REFUSAL = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")
expect.set_options(timeout=WITHIN_MS)


@asynccontextmanager
async def page_of(
    browser: Browser, tollgate: Tollgate, *, is_refused: bool = False, **settings: Any
) -> AsyncIterator[Page]:
    """Yield a page in a new browser context. It must log no script error and no violation of the content policy.

    Args:
        browser: the running browser.
        tollgate: the system whose console is used.
        is_refused: whether the page may log error responses.
        settings: settings of Playwright's context.
    """
    context = await browser.new_context(
        base_url=tollgate.system.url("console"), timezone_id="Asia/Kolkata", locale="en-US", **settings
    )
    context.set_default_timeout(WITHIN_MS)
    page = await context.new_page()
    told: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not (is_refused and REFUSAL.match(message.text)):
            told.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: told.append(str(error)))
    try:
        yield page
    finally:
        await context.close()
    assert not told, told


async def sign_up(page: Page, email: str, promo_code: str = "") -> None:
    """Sign up and wait for the overview, with the credit of the promo code."""
    await page.goto("/sign-up")
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_label("Promo code").fill(promo_code)
    await page.get_by_role("button", name="Sign up").click()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    if promo_code:
        await expect(tile(page, "Credit left")).to_contain_text(re.compile(r"\$[1-9]"))


async def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    await page.goto("/sign-in")
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def create_key(page: Page, name: str) -> str:
    """Create a key without limits in the form and return it."""
    await page.goto("/keys?new=1")
    await page.get_by_label("Name").fill(name)
    await page.get_by_role("button", name="Create the key").click()
    key = await key_of(page.get_by_role("dialog"))
    await page.get_by_role("button", name="I have saved it").click()
    return key


async def session_of(page: Page) -> str:
    """Return the session's token, for requests without the browser."""
    (cookie,) = await page.context.cookies()
    return cookie["value"]


async def key_of(dialog: Locator) -> str:
    return await dialog.get_by_text(re.compile(r"^tg_\w+$")).inner_text()


def row(page: Page, table: str, text: str) -> Locator:
    return page.get_by_role("region", name=table).get_by_role("row").filter(has_text=text)


def tile(page: Page, name: str) -> Locator:
    return page.locator(".tile").filter(has_text=name)


async def call(tollgate: Tollgate, key: str, model: str = "gpt-4o") -> tuple[str, int, int]:
    """Send a chat completion with OpenAI's SDK. Return its id, tokens and cost at gpt-4o's price in nano-dollars."""
    async with openai.AsyncOpenAI(base_url=tollgate.base_url, api_key=key, max_retries=0) as client:
        raw = await client.chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": "Count to three"}]
        )
    usage = (raw.parse()).usage
    assert usage is not None
    cost_nano = usage.prompt_tokens * 2_500 + usage.completion_tokens * 10_000
    return raw.headers["x-request-id"], usage.total_tokens, cost_nano


async def is_refused(tollgate: Tollgate, key: str) -> bool:
    async with openai.AsyncOpenAI(base_url=tollgate.base_url, api_key=key, max_retries=0) as client:
        try:
            await client.models.list()
        except openai.AuthenticationError as error:
            return error.status_code == 401
    return False


async def link_in_mail(tollgate: Tollgate, to: str, subject: str) -> str:
    """Return the link in the newest e-mail with this subject."""
    found: list[str] = []

    async def came() -> bool:
        answer = await tollgate.http.get(f"{tollgate.system.url('mails')}/v1/mails", params={"to": to})
        texts = [mail["text"] for mail in answer.json()["mails"] if mail["subject"] == subject]
        found.extend(re.findall(r"http://\S+#token=\S+", texts[0]) if texts else [])
        return bool(found)

    await until(came)
    return found[0]
