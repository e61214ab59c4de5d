"""The desk without a mouse: all is reached with Tab, pressed with Enter or Space, and one sees where one is."""

import pytest
from playwright.async_api import Page

from tests.browser.conftest import Desk, Open
from tests.browser.hands import figure, notice
from worker.demo import stories

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ACTIVE = """() => {
  const each = document.activeElement, style = getComputedStyle(each);
  return {
    name: each.name || each.innerText || each.id,
    form: each.form?.dataset.command ?? "",
    seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
  };
}"""
_MOST_STEPS = 60


async def tab_to(page: Page, name: str, form: str = "") -> None:
    """Press Tab until that element has the focus, which must be visible on each step."""
    for _ in range(_MOST_STEPS):
        await page.keyboard.press("Tab")
        active = await page.evaluate(_ACTIVE)
        assert active["seen"], active
        if active["name"].strip() == name and active["form"] == form:
            return
    raise AssertionError(f"{name} is not reached with {_MOST_STEPS} times Tab")


async def test_the_first_tab_leads_past_the_bar_to_the_content(desk: Desk, open_page: Open) -> None:
    page = await open_page(f"{(await desk()).url}/desk/customers/{stories.VIP}")
    await tab_to(page, "Skip to the content")
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.querySelector('main').contains(document.activeElement)")


async def test_a_customer_is_searched_and_points_are_redeemed_by_keyboard_alone(
    desk: Desk, open_page: Open
) -> None:
    page = await open_page(f"{(await desk()).url}/desk")
    await tab_to(page, "q")
    await page.keyboard.type(stories.GOLD)
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Linh Nguyen").wait_for()
    await tab_to(page, "Redeem points")
    await page.keyboard.press("Space")
    await tab_to(page, "points", "RedeemPoints")
    await page.keyboard.type("2")
    await tab_to(page, "reason", "RedeemPoints")
    await page.keyboard.type("By keyboard")
    await tab_to(page, "Redeem", "RedeemPoints")
    await page.keyboard.press("Space")
    await page.get_by_text("Redeem points: done.").wait_for()
    assert await figure(page, "Points") == "200"


async def test_the_timeline_is_unfolded_by_keyboard(desk: Desk, open_page: Open) -> None:
    page = await open_page(f"{(await desk()).url}/desk/customers/{stories.GOLD}")
    entries = page.locator(".timeline details")
    await entries.first.locator("summary").focus()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    assert await entries.nth(1).evaluate("each => each.open")
    await page.keyboard.press("Space")
    assert not await entries.nth(1).evaluate("each => each.open")


async def test_a_letter_goes_back_by_keyboard_alone(desk: Desk, open_page: Open) -> None:
    served = await desk()
    page = await open_page(f"{served.url}/desk/dead-letters")
    await page.locator(".letters a").first.focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Send back as it is").wait_for()
    await tab_to(page, "Send back as it is")
    await page.keyboard.press("Enter")
    await page.get_by_text("The letter was sent back to its topic.").wait_for()
    assert [offset for offset, _, _ in served.world.letters.sent] == [7]
    assert "sent back" in await notice(page)
