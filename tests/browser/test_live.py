"""What is live: the board by server-sent events, the customer by looking again. What a visitor uses is left alone."""

import pytest
from msgspec.structs import replace
from playwright.async_api import Page, expect

from tests.api.letters import counts
from tests.browser.conftest import Desk, Open
from tests.browser.hands import figure, unfolded
from tests.browser.serving import Served
from worker.demo import stories

pytestmark = pytest.mark.asyncio(loop_scope="module")

HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


async def live(served: Served, open_page: Open, path: str) -> Page:
    page = await open_page(f"{served.url}{path}")
    await page.locator("[data-state].live").wait_for()
    return page


def show(served: Served, customers: int, lag: int = 0) -> None:
    """The next board, as if a second had passed."""
    board = served.gateway.board()
    now = replace(board.now, lag=lag)
    served.gateway.show(replace(board, customers=counts(customers), now=now, at=board.at + 1_000))


async def test_the_board_follows_and_leaves_alone_what_is_in_use(desk: Desk, open_page: Open) -> None:
    served = await desk()
    page = await live(served, open_page, "/desk")
    events = page.get_by_role("region", name="Last events")
    await events.get_by_role("link").first.focus()
    chart = page.get_by_role("region", name="Lag")
    await chart.get_by_text("Figures").click()
    await events.get_by_role("link").first.focus()
    focused = await page.evaluate("document.activeElement.href")
    show(served, customers=77, lag=5)
    cell = page.locator(".figures > div", has_text="Customers here").locator("dd")
    await expect(cell).to_have_text("77")
    assert await page.evaluate("document.activeElement.href") == focused
    assert await chart.locator("details").evaluate("each => each.open")


async def test_the_focus_stays_on_a_fold_of_a_part_that_changes(desk: Desk, open_page: Open) -> None:
    served = await desk()
    page = await live(served, open_page, "/desk")
    chart = page.get_by_role("region", name="Lag")
    await chart.locator("summary").click()
    board = served.gateway.board()
    served.gateway.show(replace(board, points=tuple(replace(each, lag=900) for each in board.points)))
    await expect(chart.locator(".legend strong")).to_have_text("900")
    assert await chart.locator("details").evaluate("each => each.open")
    assert await page.evaluate("document.activeElement.matches('#lag ~ details > summary')")


async def test_a_board_that_nobody_sees_gives_its_connection_back(desk: Desk, open_page: Open) -> None:
    served = await desk()
    page = await live(served, open_page, "/desk")
    async with page.expect_event("requestfailed", lambda request: request.url.endswith("/desk/live")):
        await page.evaluate(HIDE, True)
    show(served, customers=79)
    async with page.expect_request("**/desk/live"):
        await page.evaluate(HIDE, False)
    await page.locator("[data-state].live").wait_for()
    show(served, customers=80)
    cell = page.locator(".figures > div", has_text="Customers here").locator("dd")
    await expect(cell).to_have_text("80")


async def test_the_board_finds_its_worker_again(desk: Desk, open_page: Open) -> None:
    served = await desk()
    page = await live(served, open_page, "/desk")
    served.gateway.show(None)  # the stream ends, as with a worker that stops
    await page.get_by_text("Not live, trying again").wait_for()
    await page.locator("[data-state].live").wait_for(timeout=15_000)
    show(served, customers=81)
    cell = page.locator(".figures > div", has_text="Customers here").locator("dd")
    await expect(cell).to_have_text("81")


async def test_a_customers_page_follows_what_happens_elsewhere_and_keeps_a_half_filled_form(
    desk: Desk, open_page: Open
) -> None:
    served = await desk()
    page = await live(served, open_page, f"/desk/customers/{stories.GOLD}")
    form = await unfolded(page, "AdjustPoints")
    await form.locator("[name=reason]").fill("half a sent")
    entries = page.locator(".timeline > li")
    before = await entries.count()
    third = entries.nth(2)
    await third.locator("summary").click()
    what = await third.inner_text()
    await page.keyboard.press("Tab")
    focused = await page.evaluate("document.activeElement.innerText")
    served.world.order(stories.GOLD, "elsewhere", 50_000)
    await expect(entries).to_have_count(before + 1)
    assert await figure(page, "Points") == "252"
    assert "500.00 USD" in await entries.first.inner_text()
    assert await entries.nth(3).inner_text() == what
    assert await entries.nth(3).locator("details").evaluate("each => each.open")
    assert await page.evaluate("document.activeElement.innerText") == focused
    assert await form.locator("[name=reason]").input_value() == "half a sent"


async def test_a_hidden_page_asks_nobody(desk: Desk, open_page: Open) -> None:
    served = await desk()
    page = await live(served, open_page, f"/desk/customers/{stories.GOLD}")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.evaluate(HIDE, True)
    await page.wait_for_timeout(2_500)
    assert asked == []
    async with page.expect_request("**/desk/customers/*"):
        await page.evaluate(HIDE, False)
