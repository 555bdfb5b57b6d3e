"""A customer's path through the console in a real browser, on a whole system."""

import re
import time

import pytest
from playwright.async_api import Browser, expect

from browser.visitors import (
    PASSWORD,
    call,
    create_key,
    is_refused,
    key_of,
    link_in_mail,
    page_of,
    row,
    session_of,
    sign_in,
    sign_up,
    tile,
)
from e2e.running import Tollgate
from tollgate_console.routes import ID, ROUTES
from waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

PAGES = {
    "/": "Overview",
    "/keys": "API keys",
    "/projects": "Projects",
    "/requests": "Requests",
    "/credit": "Credit",
    "/models": "Models",
    "/organization": "Organization",
    "/organization/audit-log": "Audit log",
    "/account": "Account",
}


async def test_from_sign_up_to_a_revoked_key(browser: Browser, tollgate: Tollgate) -> None:
    code = await tollgate.create_promo_code("10")
    async with page_of(browser, tollgate) as page:
        await sign_up(page, "ada@example.com", code)
        await expect(tile(page, "Credit left")).to_contain_text("$10.00")

        await page.get_by_role("link", name="Create an API key").click()
        await page.get_by_label("Name").fill("laptop")
        await page.get_by_text("Limits and budgets").click()
        await page.get_by_label("USD per day").fill("2.50")
        await page.get_by_role("button", name="Create the key").click()
        made = page.get_by_role("dialog", name=re.compile("laptop"))
        key = await key_of(made)
        await expect(made).to_contain_text(f"curl {tollgate.base_url}/chat/completions")
        await made.get_by_role("button", name="I have saved it").click()
        await expect(row(page, "API keys", "laptop")).to_contain_text("$2.50 per day")
        assert key not in await page.content()

        await page.get_by_role("link", name="Overview").click()
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
        await tollgate.until_known(key)
        _, tokens, cost_nano = await call(tollgate, key)
        answered_at = time.monotonic()
        cost = f"${cost_nano / 1e9:.9f}".rstrip("0")
        # Without a reload: the stream reports the request, then the page refreshes the sums.
        await expect(row(page, "Live requests", "laptop")).to_contain_text(f"{tokens}")
        shown_after_s = time.monotonic() - answered_at
        await expect(row(page, "By model", "gpt-4o")).to_contain_text(cost)
        await expect(row(page, "By API key", "laptop")).to_contain_text(cost)
        summed_after_s = time.monotonic() - answered_at
        print(f"shown after {shown_after_s:.2f} s, spend by model and key after {summed_after_s:.2f} s")
        await expect(tile(page, "Credit left")).to_contain_text(re.compile(r"\$9\.99\d\d"))

        await page.get_by_role("link", name="API keys").click()
        await page.get_by_role("button", name="Revoke laptop").click()
        await page.get_by_role("button", name="Revoke the key").click()
        await expect(row(page, "API keys", "laptop")).to_contain_text("revoked")
        await until(lambda: is_refused(tollgate, key))
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert await page.evaluate("localStorage.length + sessionStorage.length") == 0


async def test_a_request_is_found_explained_and_exported(browser: Browser, tollgate: Tollgate) -> None:
    code = await tollgate.create_promo_code("5")
    async with page_of(browser, tollgate) as page:
        await sign_up(page, "bob@example.com", code)
        key = await create_key(page, "server")
        await tollgate.until_known(key)
        request_id, tokens, cost_nano = await call(tollgate, key)
        await page.goto("/")
        await expect(row(page, "By API key", "server")).to_be_visible()

        await page.get_by_role("link", name="Requests").click()
        await expect(row(page, "Requests", "gpt-4o")).to_contain_text("server")
        await page.get_by_label("Status").select_option("5xx")
        await expect(page.get_by_text("No matching requests in 7 days.")).to_be_visible()
        await page.get_by_label("Status").select_option("2xx")
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Export as CSV").click()
        exported = (await (await download.value).path()).read_text()
        assert request_id in exported
        assert str(cost_nano) in exported

        await row(page, "Requests", "gpt-4o").get_by_role("link").click()
        await expect(page.get_by_text(request_id)).to_be_visible()
        charged = page.locator(".facts div").filter(has_text="Charged")
        await expect(charged).to_contain_text(f"${cost_nano / 1e9:.9f}".rstrip("0"))
        await expect(row(page, "Attempts", "openai")).to_contain_text("200")
        assert tokens > 0


async def test_links_in_mails_open_the_console(browser: Browser, tollgate: Tollgate) -> None:
    async with page_of(browser, tollgate, is_refused=True) as page:
        await sign_up(page, "cyd@example.com")
        await page.goto(await link_in_mail(tollgate, "cyd@example.com", "Confirm your e-mail"))
        await page.get_by_label("Password").fill("a wrong password")
        await page.get_by_role("button", name="Confirm").click()
        await expect(page.get_by_text("This is not the password of the sign-up")).to_be_visible()
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Confirm").click()
        await expect(page.get_by_role("status")).to_contain_text("cyd@example.com is confirmed.")
        assert "token" not in page.url

        await page.goto("/confirm-again")
        await page.get_by_label("E-mail").fill("cyd@example.com")
        await page.get_by_role("button", name="Send me an e-mail").click()
        await expect(page.get_by_role("status")).to_contain_text("If cyd@example.com is not confirmed yet")
        await page.goto("/forgotten-password")
        await page.get_by_label("E-mail").fill("cyd@example.com")
        await page.get_by_role("button", name="Send me an e-mail").click()
        await page.goto(await link_in_mail(tollgate, "cyd@example.com", "Choose a new password"))
        await page.get_by_label("New password").fill("another long password")
        await page.get_by_role("button", name="Change the password").click()
        await expect(page.get_by_role("status")).to_contain_text("Your password was changed")

        await sign_in(page, "cyd@example.com", PASSWORD)
        await expect(page.get_by_role("alert")).to_contain_text("Wrong e-mail address or password")
        await sign_in(page, "cyd@example.com", "another long password")
        await expect(page.get_by_role("heading", name="Overview")).to_be_visible()


async def test_the_owner_of_an_address_takes_over_a_strangers_sign_up(browser: Browser, tollgate: Tollgate) -> None:
    accounts = tollgate.system.url("accounts")
    body = {"email": "dot@example.com", "password": "a stranger's password"}
    (await tollgate.http.post(f"{accounts}/v1/accounts", json=body)).raise_for_status()
    async with page_of(browser, tollgate) as page:
        await page.goto(await link_in_mail(tollgate, "dot@example.com", "Confirm your e-mail"))
        await page.get_by_role("button", name="I do not know the password").click()
        await page.get_by_label("New password").fill(PASSWORD)
        await page.get_by_role("button", name="Change the password").click()
        await expect(page.get_by_role("status")).to_contain_text("Your password was changed")
        await sign_in(page, "dot@example.com", PASSWORD)
        await expect(page.get_by_role("heading", name="Overview")).to_be_visible()


async def test_errors_are_shown_and_can_be_retried(browser: Browser, tollgate: Tollgate) -> None:
    async with page_of(browser, tollgate, is_refused=True) as page:
        await page.goto("/sign-up")
        await page.get_by_label("E-mail").fill("fay@example.com")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_label("Promo code").fill("NO-SUCH-CODE")
        await page.get_by_role("button", name="Sign up").click()
        await expect(page.get_by_label("Promo code")).to_have_attribute("aria-invalid", "true")
        await expect(page.get_by_text("This promo code does not exist")).to_be_visible()
        await page.get_by_label("Promo code").fill("")
        await page.get_by_role("button", name="Sign up").click()
        await expect(page.get_by_role("heading", name="Overview")).to_be_visible()

        await page.route("**/api/balance/**", lambda route: route.fulfill(status=429, json={"detail": "too many"}))
        await page.get_by_role("link", name="Credit").click()
        await expect(page.get_by_role("alert").first).to_contain_text("Too many.")
        await page.unroute("**/api/balance/**")
        # All at once, because loading one of them may remove another.
        again = page.get_by_role("button", name="Try again")
        await again.evaluate_all("buttons => buttons.forEach(button => button.click())")
        await expect(tile(page, "Available")).to_contain_text("$0.00")

        # The session ends elsewhere, as from the list of sessions.
        accounts = tollgate.system.url("accounts")
        headers = {"Authorization": f"Bearer {await session_of(page)}"}
        (await tollgate.http.delete(f"{accounts}/v1/sessions/current", headers=headers)).raise_for_status()
        await page.get_by_role("link", name="API keys").click()
        await expect(page.get_by_text("Your session has ended.")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
async def test_every_page_fits_and_is_reached_by_keyboard(
    browser: Browser, tollgate: Tollgate, width: int, scheme: str
) -> None:
    code = await tollgate.create_promo_code("5")
    async with page_of(browser, tollgate, viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
        await sign_up(page, f"gus-{width}@example.com", code)
        key = await create_key(page, "a name as long as people give them, with where it runs and whose it is")
        await tollgate.until_known(key)
        await call(tollgate, key)
        for path, title in PAGES.items():
            await page.goto(path)
            await expect(page.get_by_role("heading", name=title, level=1)).to_be_visible()
            await expect(page.get_by_text("Loading…")).to_have_count(0)
            if path == "/":
                await expect(row(page, "By model", "gpt-4o")).to_be_visible()
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
        await page.goto("/keys")
        await page.get_by_role("link", name=re.compile("a name as long")).click()
        await expect(page.get_by_label("Requests per minute")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await page.goto("/")
        await expect(page.get_by_role("slider", name=re.compile("Spend by model"))).to_be_visible()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await page.get_by_role("link", name="API keys").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="API keys")).to_be_focused()
        await page.goto("/")
        await page.get_by_role("slider").focus()
        # The last bar is that of today.
        await page.keyboard.press("ArrowLeft")
        await expect(page.locator(".chart .values")).to_contain_text("gpt-4o $0.00")


async def test_every_forwarded_request_exists(tollgate: Tollgate) -> None:
    offered: set[tuple[str, str, str]] = set()
    for service in {route.service for route in ROUTES}:
        document = (await tollgate.http.get(f"{tollgate.system.url(service)}/openapi.json")).json()
        for path, methods in document["paths"].items():
            offered |= {(service, method.upper(), re.sub(r"\{\w+\}", ID, path)) for method in methods}
    assert (
        not {(route.service, route.method, route.path.pattern.removeprefix(route.service)) for route in ROUTES}
        - offered
    )


async def test_leaving_a_page_closes_its_stream(browser: Browser, tollgate: Tollgate) -> None:
    async def followers() -> int:
        answer = await tollgate.http.get(f"{tollgate.system.url('analytics')}/metrics")
        found = re.search(r"^tollgate_live_subscribers (\d+)", answer.text, re.MULTILINE)
        assert found is not None
        return int(found[1])

    async def is_followed(by: int) -> bool:
        return await followers() == by

    await until(lambda: is_followed(0))
    async with page_of(browser, tollgate) as page:
        await sign_up(page, "hal@example.com")
        await until(lambda: is_followed(1))
        await page.get_by_role("link", name="Models").click()
        await until(lambda: is_followed(0))
        await page.get_by_role("link", name="Overview").click()
        await until(lambda: is_followed(1))
    await until(lambda: is_followed(0))
