"""Everything works in a browser that runs no script."""

import pytest

from tests.api.tokens import SECRET, token
from tests.browser.conftest import Desk, Open
from tests.browser.hands import figure, unfolded
from worker.demo import stories

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_day_without_script(desk: Desk, open_page: Open) -> None:
    served = await desk(auth_jwt_secret=SECRET)
    page = await open_page(f"{served.url}/desk", java_script_enabled=False)
    await page.get_by_label("Token").fill(token())
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_role("heading", name="Last events").wait_for()
    await page.get_by_role("searchbox").fill(stories.GOLD)
    await page.get_by_role("button", name="Find").click()
    form = page.locator("form[data-command=RedeemPoints]")
    await page.get_by_text("Redeem points", exact=True).first.click()
    await form.locator("[name=points]").fill("203")
    await form.locator("[name=reason]").fill("Too many")
    await form.get_by_role("button").click()
    await page.get_by_text("The balance has fewer points.").wait_for()
    await form.locator("[name=points]").fill("102")
    await form.get_by_role("button").click()
    await page.get_by_text("Redeem points: done.").wait_for()
    assert await figure(page, "Points") == "100"
    await page.locator(".timeline summary", has_text="Order completed").first.click()
    await page.get_by_text("389.90 USD earn 38 points").wait_for()
    served.world.silent = True
    form = await unfolded(page, "AdjustPoints")
    await form.locator("[name=points]").fill("1")
    await form.locator("[name=reason]").fill("Slowly")
    await form.get_by_role("button").click()
    await page.get_by_role("heading", name="No result yet").wait_for()
    served.world.silent = False
    served.world.take(served.world.records[-1]["received"])
    await page.get_by_role("heading", name="Adjust points: done").wait_for()
    await page.get_by_role("link", name="Dead letters").click()
    await page.get_by_role("link", name="Dead letter 3").click()
    await page.get_by_role("button", name="Send back as it is").click()
    await page.get_by_text("The letter was sent back to its topic.").wait_for()
    await page.get_by_role("button", name="Log out").click()
    await page.get_by_role("heading", name="Log in").wait_for()
