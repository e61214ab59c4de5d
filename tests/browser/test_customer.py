"""What support does on a customer's page, as a person does it: press, read, fill in, send."""

import pytest
from playwright.async_api import Page

from tests.browser import shop
from tests.browser.conftest import Desk, Open
from tests.browser.hands import figure, notice, said, send, unfolded
from tests.browser.serving import Served
from worker.demo import stories

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def visit(served: Served, open_page: Open, customer: str = stories.VIP) -> Page:
    return await open_page(f"{served.url}/desk/customers/{customer}")


async def test_a_customer_is_found_by_id_or_by_exact_email_and_nobody_by_another(
    desk: Desk, open_page: Open
) -> None:
    page = await open_page(f"{(await desk()).url}/desk")
    for text in (stories.VIP, "Grace.Okafor@example.com"):
        await page.get_by_role("searchbox").fill(text)
        await page.get_by_role("button", name="Find").click()
        await page.get_by_role("heading", name="Grace Okafor").wait_for()
        assert page.url.endswith(f"/desk/customers/{stories.VIP}")
    await page.get_by_role("searchbox").fill("grace@example.com")
    await page.keyboard.press("Enter")
    await page.get_by_text("No customer has this id or exact email.").wait_for()


async def test_the_page_says_who_it_is_and_why(desk: Desk, open_page: Open) -> None:
    page = await visit(await desk(), open_page)
    assert await page.locator(".badges").first.inner_text() == "Platinum\nVIP\nActive"
    assert [await figure(page, name) for name in ("Points", "Spent in all", "VIP since")] == [
        "984",
        "11,139.25 USD",
        "2026-05-09",
    ]
    why = await page.get_by_role("region", name="Why").inner_text()
    assert "Level PLATINUM since 2025-11-28 12:00 UTC, by order " in why
    entry = page.locator(".timeline > li", has_text="Cancel redemption")
    assert "+200 points" in await entry.inner_text()
    await entry.locator("summary").click()
    assert "200 points" in await entry.locator(".behind").inner_text()
    await page.get_by_role("link", name="Earlier").click()
    await page.get_by_text("Register customer").wait_for()


async def test_points_are_redeemed_and_given_back_when_the_order_fails(desk: Desk, open_page: Open) -> None:
    page = await visit(await desk(), open_page, stories.GOLD)
    assert await figure(page, "Points") == "202"
    form = await unfolded(page, "RedeemPoints")
    assert "Takes the points from the balance of 202." in await form.inner_text()
    await send(form, points="150", reason="Paid with order 7", redemptionId="r-7", orderId="7")
    assert "Redeem points: done." in await notice(page)
    assert await figure(page, "Points") == "52"
    form = await unfolded(page, "CancelRedemption")
    assert "Gives all 150 points back." in await form.inner_text()
    await send(form, reason="Order 7 failed")
    assert "Cancel redemption: done." in await notice(page)
    assert await figure(page, "Points") == "202"
    assert await page.locator("form[data-command=CancelRedemption]").count() == 0


async def test_too_many_points_are_refused_at_their_field_and_what_was_typed_stays(
    desk: Desk, open_page: Open
) -> None:
    page = await visit(await desk(), open_page)
    form = await unfolded(page, "RedeemPoints")
    await send(form, points="985", reason="A voucher")
    assert await said(page, "points") == "The balance has fewer points."
    form = page.locator("form[data-command=RedeemPoints]")
    assert await form.locator("[name=reason]").input_value() == "A voucher"
    await send(form, points="984")
    assert "Redeem points: done." in await notice(page)
    assert await figure(page, "Points") == "0"


async def test_points_are_adjusted_with_a_reason(desk: Desk, open_page: Open) -> None:
    served = await desk()
    page = await visit(served, open_page, stories.IN_DEBT)
    assert await figure(page, "Debt") == "40 points"
    await send(await unfolded(page, "AdjustPoints"), points="+45", reason="Goodwill")
    assert [await figure(page, name) for name in ("Points", "Debt")] == ["5", "0"]
    await send(await unfolded(page, "AdjustPoints"), points="many", reason="Goodwill")
    assert await said(page, "points") == "This is not a number."
    assert served.world.customers[stories.IN_DEBT].points == 5


async def test_an_address_is_added_made_the_default_and_removed(desk: Desk, open_page: Open) -> None:
    page = await visit(await desk(), open_page, shop.NEW)
    new = {"street": "Calle Mayor 1", "zipCode": "28013", "city": "Madrid", "country": "XX"}
    await send(await unfolded(page, "AddDeliveryAddress"), **new)
    assert await said(page, "country") == "This is not a country's code, such as DE."
    await send(page.locator("form[data-command=AddDeliveryAddress]"), country="ES")
    await send(await unfolded(page, "AddDeliveryAddress"), **new | {"street": "Gran Vía 2", "country": "ES"})
    addresses = page.get_by_role("region", name="Addresses")
    await send(await unfolded(page, "SetDefaultDeliveryAddress"))
    second = addresses.locator(".item", has_text="Gran Vía 2")
    assert "Default" in await second.inner_text()
    await second.get_by_text("Remove", exact=True).first.click()
    await second.get_by_role("button", name="Remove").click()
    await page.get_by_text("Remove delivery address: done.").wait_for()
    assert await addresses.locator(".item").count() == 1
    assert "Default" in await addresses.locator(".item").inner_text()


async def test_profile_status_level_preferences_and_payment_methods_are_changed(
    desk: Desk, open_page: Open
) -> None:
    page = await visit(await desk(), open_page, stories.SILVER)
    await send(await unfolded(page, "UpdateProfile"), name="Paula Neri", email="grace.okafor@example.com")
    assert await said(page, "email") == "Another customer has this email."
    await send(page.locator("form[data-command=UpdateProfile]"), email="paula@example.com", phone="")
    await page.get_by_role("heading", name="Paula Neri").wait_for()
    await send(await unfolded(page, "UpgradeMembership"), newLevel="GOLD", reason="Her tenth year")
    await send(await unfolded(page, "ChangeStatus"), newStatus="SUSPENDED", reason="She asked for a pause")
    assert (await page.locator(".badges").first.inner_text()).split() == ["Gold", "Suspended"]
    form = await unfolded(page, "UpdatePreferences")
    await form.get_by_label("Marketing emails").check()
    await form.get_by_label("Sms").check()
    await send(form, language="it-IT", currency="EUR")
    preferences = await page.get_by_role("region", name="Preferences").locator(".facts").inner_text()
    for words in ("it-IT", "EUR", "emails wanted", "Email, Sms"):
        assert words in preferences
    await send(await unfolded(page, "AddPaymentMethod"), type="DEBIT_CARD", last4="0042", expiry="2030-01")
    await page.get_by_text("Debit card ending in 0042").wait_for()
    await send(await unfolded(page, "RemovePaymentMethod"))
    await page.get_by_text("No payment method.").wait_for()


async def test_what_changed_meanwhile_is_not_overwritten(desk: Desk, open_page: Open) -> None:
    served = await desk()
    page, other = await visit(served, open_page), await visit(served, open_page)
    form = await unfolded(page, "UpdatePreferences")
    await send(await unfolded(other, "UpdatePreferences"), language="pt-PT")
    await send(form, language="fr-FR")
    await page.get_by_text("The customer changed meanwhile. The page shows the latest values.").wait_for()
    assert served.world.customers[stories.VIP].preferences.language == "pt-PT"


async def test_a_customer_is_erased_after_the_id_was_typed(desk: Desk, open_page: Open) -> None:
    served = await desk()
    page = await visit(served, open_page)
    form = await unfolded(page, "EraseCustomer")
    assert "for ever" in await form.inner_text()
    await send(form, reason="She asked for it", customerId="vip-grac")
    assert await said(page, "customerId") == "This is not the id of this customer."
    assert not served.world.customers[stories.VIP].erased
    await send(page.locator("form[data-command=EraseCustomer]"), customerId=stories.VIP)
    await page.get_by_role("heading", name="Erase customer: done").wait_for()
    await page.get_by_role("link", name="To the customer").click()
    await page.get_by_role("heading", name="Gone").wait_for()


async def test_a_command_without_a_result_is_waited_for(desk: Desk, open_page: Open) -> None:
    served = await desk()
    page = await visit(served, open_page)
    served.world.silent = True
    await send(await unfolded(page, "AdjustPoints"), points="1", reason="Slowly")
    await page.get_by_role("heading", name="No result yet").wait_for()
    served.world.silent = False
    served.world.take(served.world.records[-1]["received"])
    await page.get_by_role("heading", name="Adjust points: done").wait_for()


async def test_a_button_pressed_twice_sends_once(desk: Desk, open_page: Open) -> None:
    served = await desk()
    page = await visit(served, open_page)
    form = await unfolded(page, "AdjustPoints")
    await form.locator("[name=points]").fill("10")
    await form.locator("[name=reason]").fill("Twice")
    await form.get_by_role("button").dblclick(no_wait_after=True)
    await page.get_by_text("Adjust points: done.").wait_for()
    assert served.world.customers[stories.VIP].points == 994
    assert len(served.world.records) == 1
