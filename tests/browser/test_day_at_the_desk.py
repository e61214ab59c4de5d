"""A day at the desk, on a real worker and a real Kafka: an order fails, and the points for it are given back."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.api.live import LiveApi
from tests.api.tokens import SECRET, bearer, token
from tests.browser.conftest import Open
from tests.browser.hands import figure, send, unfolded
from tests.integration.installation import Message, order, registration

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(loop_scope="module")
async def live(kafka: str, tmp_path: Path) -> AsyncIterator[LiveApi]:
    live = LiveApi(kafka, tmp_path, {"AUTH_JWT_SECRET": SECRET})
    live.headers = bearer()
    yield live
    live.end()


async def test_an_order_that_failed_costs_no_points_and_the_timeline_says_why(
    live: LiveApi, open_page: Open
) -> None:
    [worker] = await live.started("a")
    live.send([registration("ann"), order("ann", "o-1", 250_000)])
    broken = order("ann", "o-2", 4_990)
    live.send([Message(broken.topic, broken.key, broken.value.replace(b"49.90", b"49,90"))])

    page = await open_page(f"{live.url(worker)}/desk/customers/ann")
    await page.get_by_label("Token").fill(token(sub="support-7", exp=4_102_444_800))
    await page.get_by_role("button", name="Log in").click()
    points = page.locator(".figures > div", has_text="Points").locator("dd").first
    await expect(points).to_have_text("250", timeout=20_000)  # the page follows the order

    redemption = {"points": "200", "reason": "Paid with order o-9", "redemptionId": "r-9", "orderId": "o-9"}
    await send(await unfolded(page, "RedeemPoints"), **redemption)
    await page.get_by_text("Redeem points: done.").wait_for()
    assert await figure(page, "Points") == "50"

    await send(await unfolded(page, "CancelRedemption"), reason="Order o-9 failed: out of stock")
    await page.get_by_text("Cancel redemption: done.").wait_for()
    assert await figure(page, "Points") == "250"
    latest = await page.locator(".timeline > li").first.inner_text()
    for words in ("Cancel redemption", "+200 points", "support-7", "250 points, Gold"):
        assert words in latest
    why = await page.get_by_role("region", name="Why").inner_text()
    assert "200 redeemed, 200 restored by cancellations" in why

    await page.get_by_role("region", name="Dead letters").get_by_role("link").click()
    await page.get_by_text("Edit it first").click()
    value = page.get_by_label("Value", exact=True)
    await value.fill((await value.input_value()).replace("49,90", "49.90"))
    await page.get_by_role("button", name="Send back edited").click()
    await page.get_by_text("The letter was sent back to its topic.").wait_for()
    await page.get_by_role("link", name="ann").click()
    await expect(points).to_have_text("254", timeout=20_000)

    events = [event["type"] for event in live.events() if event.get("actor") == "support-7"]
    assert events == ["RewardPointsRedeemedEvent", "RewardPointsRestoredEvent"]
