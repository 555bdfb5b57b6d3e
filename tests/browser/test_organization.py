"""An organization's members, projects, keys and audit log, and a person's own sessions, in a real browser."""

import re

import pytest
from playwright.async_api import Browser, Page, expect

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
)
from e2e.running import Tollgate
from waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def expect_acts(page: Page, *acts: str) -> None:
    """Expect these actions in the audit log, newest first."""
    await page.goto("/organization/audit-log")
    cells = page.get_by_role("region", name="Audit log").locator("tbody td:nth-child(3)")
    await expect(cells).to_have_text([re.compile(act) for act in acts])


async def test_a_tab_stays_in_its_organization(browser: Browser, tollgate: Tollgate) -> None:
    async with page_of(browser, tollgate) as page:
        await sign_up(page, "kay@example.com")
        await create_key(page, "of the first")
        other = await page.context.new_page()
        await other.goto("/account")
        await other.get_by_label("Name of a new organization").fill("Second")
        await other.get_by_role("button", name="Create organization").click()
        await expect(other.get_by_label("Organization", exact=True)).to_have_text(re.compile("Second"))

        await page.get_by_role("link", name="Models").click()
        await page.get_by_role("link", name="API keys").click()
        await expect(row(page, "API keys", "of the first")).to_be_visible()
        await page.reload()
        await expect(page.get_by_text("You have no API keys yet.")).to_be_visible()


async def test_an_invited_member_sees_what_the_role_allows(browser: Browser, tollgate: Tollgate) -> None:
    async with page_of(browser, tollgate) as owner, page_of(browser, tollgate) as invited:
        await sign_up(owner, "ivy@example.com")
        await owner.get_by_role("link", name="Organization").click()
        # The page does not offer to leave: an organization keeps its last owner.
        await expect(owner.get_by_text("You are the only owner.")).to_be_visible()
        await owner.get_by_label("E-mail").fill("joe@example.com")
        await owner.get_by_label("Role").select_option("viewer")
        await owner.get_by_role("button", name="Send an invitation").click()
        await expect(row(owner, "Invitations", "joe@example.com")).to_contain_text("viewer")

        await invited.goto(await link_in_mail(tollgate, "joe@example.com", "You are invited"))
        await invited.get_by_role("button", name="Sign up").click()
        await expect(invited.get_by_role("heading", name="Sign up")).to_be_visible()
        await invited.get_by_label("E-mail").fill("joe@example.com")
        await invited.get_by_label("Password").fill(PASSWORD)
        await invited.get_by_role("button", name="Sign up").click()
        await invited.get_by_role("button", name="Accept the invitation").click()
        await expect(invited.get_by_label("Organization", exact=True)).to_be_visible()
        await invited.get_by_role("link", name="API keys").click()
        await expect(invited.get_by_text("Your role is viewer")).to_be_visible()
        await expect(invited.get_by_role("link", name="Create an API key")).to_have_count(0)
        await invited.get_by_role("link", name="Organization").click()
        await expect(row(invited, "Members", "ivy@example.com")).to_contain_text("owner")
        await expect(invited.get_by_role("button", name="Remove ivy@example.com")).to_have_count(0)
        await expect(invited.get_by_role("link", name="Audit log")).to_have_count(0)

        await owner.reload()
        await owner.get_by_role("button", name="Change the role of joe@example.com").click()
        await owner.get_by_role("dialog").get_by_label("Role").select_option("developer")
        await owner.get_by_role("button", name="Change the role", exact=True).click()
        await expect(row(owner, "Members", "joe@example.com")).to_contain_text("developer")
        await invited.reload()
        await invited.get_by_role("link", name="API keys").click()
        await expect(invited.get_by_role("link", name="Create an API key").first).to_be_visible()

        await owner.get_by_role("button", name="Remove joe@example.com").click()
        await owner.get_by_role("button", name="Remove the member").click()
        await expect(row(owner, "Members", "joe@example.com")).to_have_count(0)
        # The removed member continues in another of their organizations.
        await invited.goto("/organization")
        await expect(row(invited, "Members", "joe@example.com")).to_contain_text("owner (you)")
        await expect_acts(
            owner,
            "Removed a member",
            "Changed a member's role",
            "Joined",
            "Sent an invitation",
            "Created the organization",
        )
        await expect(row(owner, "Audit log", "Removed a member")).to_contain_text("joe@example.com")


async def test_a_person_without_an_organization_creates_one(browser: Browser, tollgate: Tollgate) -> None:
    heir = await tollgate.sign_up(None)
    async with page_of(browser, tollgate) as page:
        await sign_up(page, "ned@example.com")
        await page.get_by_role("link", name="Organization").click()
        await page.get_by_label("E-mail").fill(heir.email)
        await page.get_by_label("Role").select_option("owner")
        await page.get_by_role("button", name="Send an invitation").click()
        token = (await link_in_mail(tollgate, heir.email, "You are invited")).split("token=")[1]
        url = f"{tollgate.system.url('accounts')}/v1/invitations/acceptances"
        accepted = await tollgate.http.post(url, json={"token": token}, headers=heir.with_session)
        assert accepted.status_code == 201
        await page.reload()
        await page.get_by_role("button", name="Leave the organization").click()
        await page.get_by_role("button", name="Leave", exact=True).click()
        await expect(page.get_by_role("heading", name="No organization")).to_be_visible()
        await page.get_by_label("Name of a new organization").fill("Ned alone")
        await page.get_by_role("button", name="Create organization").click()
        await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        await page.get_by_role("link", name="Organization").click()
        await expect(page.get_by_label("Name of the organization")).to_have_value("Ned alone")


async def test_a_project_limits_its_keys_and_shows_their_spend(browser: Browser, tollgate: Tollgate) -> None:
    code = await tollgate.create_promo_code("5")
    async with page_of(browser, tollgate, is_refused=True) as page:
        await sign_up(page, "kit@example.com", code)
        await page.get_by_role("link", name="Projects").click()
        await page.get_by_role("button", name="Create a project").first.click()
        await page.get_by_label("Name").fill("batch")
        await page.get_by_label("USD in total").fill("three")
        await page.get_by_role("button", name="Create the project").click()
        await expect(page.get_by_label("USD in total")).to_have_attribute("aria-invalid", "true")
        await page.get_by_label("USD in total").fill("3")
        await page.get_by_role("button", name="Create the project").click()
        await expect(row(page, "Projects", "batch")).to_contain_text("$3.00 in total")

        await page.get_by_role("link", name="Keys of batch").click()
        await page.get_by_role("link", name="Create an API key").first.click()
        await page.get_by_label("Name").fill("nightly")
        await page.get_by_role("button", name="Create the key").click()
        key = await key_of(page.get_by_role("dialog"))
        await page.get_by_role("button", name="I have saved it").click()
        await expect(row(page, "API keys", "nightly")).to_contain_text("batch")
        await tollgate.until_known(key)
        _, _, cost_nano = await call(tollgate, key)
        cost = f"${cost_nano / 1e9:.9f}".rstrip("0")

        async def is_told() -> bool:
            await page.goto("/projects")
            project = row(page, "Projects", "batch")
            await expect(project).not_to_contain_text("…")
            return (await project.inner_text()).count(cost) == 2

        await until(is_told, "the spend of the project and of its budget")
        await page.get_by_role("button", name="Archive batch").click()
        await page.get_by_role("button", name="Archive the project").click()
        await expect(page.get_by_role("alert")).to_contain_text("This project has active API keys")
        await page.get_by_role("button", name="Keep it").click()
        await expect_acts(
            page, "Created an API key", "Created a project", "Redeemed a promo code", "Created the organization"
        )
        await expect(row(page, "Audit log", "Created a project")).to_contain_text("batch")


async def test_a_key_is_changed_rotated_and_reported(browser: Browser, tollgate: Tollgate) -> None:
    async with page_of(browser, tollgate) as page:
        await sign_up(page, "lea@example.com")
        first = await create_key(page, "server")
        await tollgate.until_known(first)
        await page.get_by_role("link", name="server").click()
        await page.get_by_label("Requests per minute").fill("many")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_label("Requests per minute")).to_have_attribute("aria-invalid", "true")
        await page.get_by_label("Requests per minute").fill("500")
        await page.get_by_label("USD per month").fill("20")
        # A typed network counts even if it was not added to the list.
        await page.get_by_label("Allowed networks", exact=True).fill("127.0.0.0/8")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
        await expect(page.get_by_role("button", name="Remove 127.0.0.0/8")).to_be_visible()

        await page.get_by_role("button", name="Rotate").click()
        await page.get_by_role("button", name="Rotate the key").click()
        made = page.get_by_role("dialog", name=re.compile("Your key"))
        second = await key_of(made)
        await expect(made).to_contain_text(re.compile(r"The old key tg_\S+ works until"))
        await made.get_by_role("button", name="I have saved it").click()
        await expect(page.get_by_role("link", name="another key")).to_be_visible()
        await expect(page.get_by_label("Requests per minute")).to_have_value("500")
        await expect(page.get_by_label("USD per month")).to_have_value("20")
        assert second not in await page.content()
        await tollgate.until_known(second)
        assert not await is_refused(tollgate, first)

        await page.get_by_role("button", name="Rotate").click()
        await page.get_by_label("Old key expires").select_option("immediately")
        await page.get_by_role("button", name="Rotate the key").click()
        await expect(made).to_contain_text("no longer works.")
        third = await key_of(made)
        await made.get_by_role("button", name="I have saved it").click()
        await until(lambda: is_refused(tollgate, second))

        await tollgate.until_known(third)
        await page.goto("/leaked-key")
        await page.get_by_label("The key").fill(third)
        await page.get_by_role("button", name="Report and revoke the key").click()
        await expect(page.get_by_role("status")).to_contain_text("If this was an active key")
        await until(lambda: is_refused(tollgate, third))
        await expect_acts(
            page,
            "Reported an API key as leaked",
            "Revoked an API key",
            "Created an API key",
            "Rotated an API key",
            "Created an API key",
            "Changed an API key",
            "Created an API key",
            "Created the organization",
        )
        await expect(row(page, "Audit log", "Rotated")).to_contain_text("old key works for 1 day more")


async def test_another_session_is_ended_and_the_password_changed(browser: Browser, tollgate: Tollgate) -> None:
    async with (
        page_of(browser, tollgate, is_refused=True) as here,
        page_of(browser, tollgate, is_refused=True) as there,
    ):
        await sign_up(here, "max@example.com")
        await sign_in(there, "max@example.com")
        await expect(there.get_by_role("heading", name="Overview")).to_be_visible()
        await here.get_by_role("link", name="max@example.com").click()
        await expect(row(here, "Sessions", "Chrome on Linux")).to_have_count(2)
        await here.get_by_role("button", name=re.compile("End the session of Chrome on Linux")).click()
        await expect(row(here, "Sessions", "Chrome on Linux")).to_have_count(1)
        await expect(row(here, "Sessions", "current")).to_be_visible()
        await there.get_by_role("link", name="API keys").click()
        await expect(there.get_by_text("Your session has ended.")).to_be_visible()

        await here.get_by_label("Current password").fill("not the password")
        await here.get_by_label("New password").fill("another long password")
        await here.get_by_role("button", name="Change the password").click()
        await expect(here.get_by_label("Current password")).to_have_attribute("aria-invalid", "true")
        await expect(here.get_by_text("This is not your current password.")).to_be_visible()
        await here.get_by_label("Current password").fill(PASSWORD)
        await here.get_by_role("button", name="Change the password").click()
        await expect(here.get_by_role("status")).to_contain_text("Your password was changed")
        await sign_in(there, "max@example.com", "another long password")
        await expect(there.get_by_role("heading", name="Overview")).to_be_visible()


async def test_long_lists_load_page_by_page(browser: Browser, tollgate: Tollgate) -> None:
    async with page_of(browser, tollgate) as page:
        await sign_up(page, "nia@example.com")
        session = await session_of(page)
        for number in range(101):
            await tollgate.create_key(session, f"key {number}")
        for path, table, total in (("/keys", "API keys", 101), ("/organization/audit-log", "Audit log", 102)):
            await page.goto(path)
            rows = page.get_by_role("region", name=table).locator("tbody tr")
            await expect(rows).to_have_count(100)
            await page.get_by_role("button", name="Show more").click()
            await expect(rows).to_have_count(total)
            await expect(page.get_by_role("button", name="Show more")).to_have_count(0)
