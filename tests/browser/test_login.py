"""Who may see and do what: the login, a token that only reads, one that may write, and a customer's own."""

import pytest
from playwright.async_api import Page

from tests.api.tokens import SECRET, token
from tests.browser.conftest import Desk, Open
from tests.browser.hands import send, unfolded
from worker.demo import stories

pytestmark = pytest.mark.asyncio(loop_scope="module")

CUSTOMER = f"/desk/customers/{stories.VIP}"


async def log_in(page: Page, text: str) -> None:
    await page.get_by_label("Token").fill(text)
    await page.get_by_role("button", name="Log in").click()


async def offered(page: Page) -> set[str]:
    """The commands that the page has a form for."""
    forms = page.locator("form[data-command]")
    return set(await forms.evaluate_all("forms => forms.map((each) => each.dataset.command)"))


async def test_a_visitor_logs_in_is_led_on_and_logs_out(desk: Desk, open_page: Open) -> None:
    served = await desk(auth_jwt_secret=SECRET)
    page = await open_page(f"{served.url}{CUSTOMER}")
    await page.get_by_role("heading", name="Log in").wait_for()
    await log_in(page, token(scope="orders:read"))
    await page.get_by_text("The token lacks the scope customers:read.").wait_for()
    await log_in(page, token())
    await page.get_by_role("heading", name="Grace Okafor").wait_for()
    [cookie] = await page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/desk")
    assert await page.evaluate("document.cookie") == ""
    await page.get_by_role("button", name="Log out").click()
    await page.get_by_role("heading", name="Log in").wait_for()
    await page.goto(f"{served.url}{CUSTOMER}")
    await page.get_by_role("heading", name="Log in").wait_for()


async def test_a_token_that_only_reads_is_offered_nothing_and_refused_all_the_same(
    desk: Desk, open_page: Open
) -> None:
    served = await desk(auth_jwt_secret=SECRET)
    page = await open_page(f"{served.url}{CUSTOMER}")
    await log_in(page, token(scope="customers:read"))
    await page.get_by_role("heading", name="Grace Okafor").wait_for()
    assert await offered(page) == set()
    assert await page.get_by_role("region", name="Dead letters").count() == 0
    assert await page.get_by_role("link", name="Dead letters").count() == 0
    await page.evaluate(
        """() => {
          const form = document.querySelector("form.search");
          form.action = location.pathname + "/AdjustPoints";
          form.submit();
        }"""
    )
    await page.get_by_role("heading", name="Forbidden").wait_for()
    await page.goto(f"{served.url}/desk/dead-letters")
    await page.get_by_role("heading", name="Forbidden").wait_for()
    assert served.world.records == []


async def test_a_token_that_writes_is_offered_what_needs_no_administrator(
    desk: Desk, open_page: Open
) -> None:
    served = await desk(auth_jwt_secret=SECRET)
    page = await open_page(f"{served.url}{CUSTOMER}")
    await log_in(page, token(scope="customers:read customers:write"))
    await page.get_by_role("heading", name="Grace Okafor").wait_for()
    may = await offered(page)
    assert {"RedeemPoints", "CancelRedemption", "UpdateProfile", "AddDeliveryAddress"} <= may
    assert may.isdisjoint({"AdjustPoints", "ChangeStatus", "UpgradeMembership", "EraseCustomer"})
    await send(await unfolded(page, "RedeemPoints"), points="5", reason="A voucher")
    await page.get_by_text("Redeem points: done.").wait_for()
    assert "tester" in await page.locator(".timeline .behind").first.inner_text()


async def test_a_customers_own_token_reaches_that_customer_alone(desk: Desk, open_page: Open) -> None:
    served = await desk(auth_jwt_secret=SECRET)
    page = await open_page(f"{served.url}{CUSTOMER}")
    await log_in(page, token(scope="customers:read", customer_id=stories.VIP))
    await page.get_by_role("heading", name="Grace Okafor").wait_for()
    assert await page.get_by_role("searchbox").count() == 0
    await page.goto(f"{served.url}/desk/customers/{stories.GOLD}")
    await page.get_by_role("heading", name="Forbidden").wait_for()
