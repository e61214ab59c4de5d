"""Every command that the desk gives: what it does, what it refuses and where, and that it does it once."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from api.desk.forms import COMMANDS
from api.limits import Limits
from api.views import LEDGER_LINES
from tests.api.conftest import CUSTOMERS, Client, Serve, registered
from tests.api.desk.conftest import Known
from tests.api.desk.visitor import Answer, Page, Values, Visitor
from tests.api.in_memory import InMemoryGateway, World


class Case(NamedTuple):
    """One command. fill: a right form; then: what its page shows afterwards; wrong: (field, value, error)."""

    command: str
    fill: Values
    then: str
    wrong: Sequence[tuple[str, str, str]] = ()


CASES = (
    Case(
        "UpdateProfile",
        {"name": "Ann Chen", "email": "chen@example.com", "phone": ""},
        "chen@example.com",
        (
            ("name", "", "Fill this in."),
            ("name", "x" * 101, "This is too long."),
            ("email", "no email", "This is not an email."),
            ("phone", "0800", "This is not a phone number with its country code."),
            ("name", "4929 1734 0628 5515", "This holds a full card number, which must not be stored."),
        ),
    ),
    Case(
        "ChangeStatus",
        {"newStatus": "SUSPENDED", "reason": "fraud"},
        "Suspended",
        (("reason", "", "Fill this in."), ("newStatus", "GONE", "This is none of the values.")),
    ),
    Case(
        "UpgradeMembership",
        {"newLevel": "GOLD", "reason": "goodwill"},
        "Gold",
        (
            ("newLevel", "STANDARD", "A level never falls."),
            ("reason", "x" * 501, "This is too long."),
        ),
    ),
    Case(
        "RedeemPoints",
        {"points": "30", "reason": "voucher", "redemptionId": "r-2"},
        "100",
        (
            ("points", "131", "The balance has fewer points."),
            ("points", "", "Fill this in."),
            ("points", "many", "This is not a number."),
            ("points", "0", "This number is out of range."),
            ("points", "1.5", "This is not a number."),
            ("redemptionId", "", "Fill this in."),
            ("redemptionId", "r 1/ü", "This id stands for something else already. Use another one."),
            ("orderId", "x" * 101, "This is too long."),
        ),
    ),
    Case("CancelRedemption", {"reason": "order failed"}, "Restore", (("reason", "", "Fill this in."),)),
    Case(
        "AdjustPoints",
        {"points": "-30", "reason": "wrong parcel", "adjustmentId": "a-1"},
        "100",
        (
            ("points", "-131", "The balance has fewer points."),
            ("points", "0", "This number is out of range."),
            ("points", "9" * 15, "This number is out of range."),
            ("adjustmentId", "", "Fill this in."),
        ),
    ),
    Case(
        "AddDeliveryAddress",
        {"street": "3 Elm St", "city": "Köln", "zipCode": "50667", "country": "DE", "label": "Mum"},
        "3 Elm St",
        (
            ("street", "...", "This has not the right form."),
            ("label", "4929 1734 0628 5515", "This holds a full card number, which must not be stored."),
            ("country", "XX", "This is not a country's code, such as DE."),
            ("zipCode", "x" * 21, "This is too long."),
            ("label", "x" * 41, "This is too long."),
        ),
    ),
    Case("SetDefaultDeliveryAddress", {}, "Default"),
    Case("RemoveDeliveryAddress", {}, "2 High St"),
    Case(
        "UpdatePreferences",
        {
            "marketingEmails": "on",
            "language": "de-DE",
            "currency": "EUR",
            "enabledTypes": ["ORDER", "POINTS"],
            "enabledChannels": [],
        },
        "no channel",
        (
            ("language", "no language", "This is not a language's code, such as de-DE."),
            ("language", "", "Fill this in."),
            ("currency", "", "Fill this in."),
            ("currency", "ZZZ", "This is not a currency's code, such as EUR."),
            ("enabledTypes", "NEWS", "This is none of the values."),
        ),
    ),
    Case(
        "AddPaymentMethod",
        {"type": "DIGITAL_WALLET", "last4": "0007", "provider": "Purse", "expiry": "2030-01"},
        "Purse",
        (
            ("last4", "4929173406285515", "This has not the right form."),
            ("last4", "12", "This has not the right form."),
            ("type", "GOLD", "This is none of the values."),
            ("expiry", "01/30", "This has not the right form."),
        ),
    ),
    Case("RemovePaymentMethod", {}, "No payment method."),
)
BY_COMMAND = {case.command: case for case in CASES}


async def landed(visitor: Visitor, answer: Answer, known: Known) -> Page:
    """The page to which a form that did its work leads."""
    assert answer.to.partition("?")[0] == known.path, answer.to
    return await visitor.show(answer.to)


def test_there_is_a_case_for_each_command() -> None:
    assert {*BY_COMMAND, "EraseCustomer"} == set(COMMANDS)


async def test_the_page_offers_every_command_and_says_what_each_will_do(visitor: Visitor, ann: Known) -> None:
    page = await visitor.show(ann.path)
    assert page.commands == set(COMMANDS)
    for form in page.forms:
        if form.command:
            assert form.attributes["method"] == "post"
            assert form.action == f"{ann.path}/{form.command}"
            assert len(form.token) == 64
    labelled = {given["for"] for tag, given in page.elements if tag == "label" and "for" in given}
    for form in page.forms:
        for each in form.inputs:
            if each.kind not in ("hidden", "checkbox"):
                assert each.attributes["id"] in labelled, (form.command, each.name)
            for described in each.attributes.get("aria-describedby", "").split():
                assert described in page.texts


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.command)
async def test_a_command_is_given_and_the_page_shows_its_result(
    visitor: Visitor, ann: Known, case: Case
) -> None:
    before = ann.version
    answer = await visitor.give(ann.path, case.command, **case.fill)
    page = await landed(visitor, answer, ann)
    assert ann.commands() == [case.command]
    assert ann.version == before + 1
    assert f"done. The customer has version {before + 1}." in page.roles["status"][0]
    assert case.then in page.text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.command)
async def test_a_form_sent_twice_does_it_once_and_both_answers_say_so(
    visitor: Visitor, ann: Known, case: Case
) -> None:
    form = (await visitor.show(ann.path)).form(case.command)
    before = ann.version
    first, second = [await visitor.submit(form, **case.fill) for _ in range(2)]
    assert first.to == second.to
    await landed(visitor, second, ann)
    assert ann.version == before + 1
    assert len({each["received"].command_id for each in ann.world.records}) == 1


@pytest.mark.parametrize("case", [case for case in CASES if case.wrong], ids=lambda case: case.command)
async def test_an_error_stands_at_its_field_and_what_was_typed_stays(
    visitor: Visitor, ann: Known, case: Case
) -> None:
    form = (await visitor.show(ann.path)).form(case.command)
    before, untouched = ann.version, {each.name: each.values for each in form.inputs}
    for name, value, error in case.wrong:
        fill = {**case.fill, name: value}
        answer = await visitor.submit(form, **fill)
        assert (answer.status, ann.version) == (422, before), (name, value, answer.page.text)
        page, again = answer.page, answer.page.form(case.command)
        assert page.error_of(again, name) == error
        marked = {each.name for each in again.inputs if "aria-invalid" in each.attributes}
        assert marked == {name}
        for other, typed in fill.items():
            kept = form[other].kind not in ("select", "checkbox") or other != name
            assert not kept or again[other].values in ([typed], typed, [])
        assert again["idempotencyKey"].value != form["idempotencyKey"].value
        form = again
    left = {**{name: untouched[name] for name, _, _ in case.wrong}, **case.fill}
    assert (await visitor.submit(form, **left)).status == 303


async def test_the_form_with_the_error_is_unfolded(visitor: Visitor, ann: Known) -> None:
    answer = await visitor.give(ann.path, "RedeemPoints", points="131", reason="x")
    unfolded = [
        given for tag, given in answer.page.elements if tag == "details" and given.get("class") == "action"
    ]
    assert sum("open" in given for given in unfolded) == 1


async def test_two_different_forms_of_one_key_are_refused_and_the_second_can_be_sent_anew(
    visitor: Visitor, ann: Known
) -> None:
    form = (await visitor.show(ann.path)).form("ChangeStatus")
    assert (await visitor.submit(form, newStatus="INACTIVE", reason="asked")).status == 303
    answer = await visitor.submit(form, newStatus="SUSPENDED", reason="fraud")
    assert answer.status == 422
    assert answer.page.roles["alert"] == [
        "This form was sent before, with other values. Check them, and send it again."
    ]
    again = answer.page.form("ChangeStatus")
    assert (again["newStatus"].value, again["reason"].value) == ("SUSPENDED", "fraud")
    assert (await visitor.submit(again)).status == 303
    assert ann.world.customers[ann.id].status == "SUSPENDED"


async def test_a_form_of_an_older_page_does_not_overwrite_what_changed_since(
    visitor: Visitor, ann: Known
) -> None:
    old = await visitor.show(ann.path)
    assert (await visitor.give(ann.path, "UpdateProfile", name="Ann Chen")).status == 303
    before = ann.version
    for command, fill in (("UpdateProfile", {"name": "Bob"}), ("UpdatePreferences", {"language": "de-DE"})):
        answer = await visitor.submit(old.form(command), **fill)
        assert answer.status == 422
        assert answer.page.roles["alert"] == [
            "The customer changed meanwhile. The page shows the latest values."
        ]
        assert ann.version == before
        form = answer.page.form(command)
        assert fill.items() <= {each.name: each.value for each in form.inputs if each.values}.items()
    assert (await visitor.submit(form)).status == 303  # she has seen what changed, and sends it all the same


async def test_what_is_gone_meanwhile_is_said_on_the_page(visitor: Visitor, ann: Known) -> None:
    forms = [(await visitor.show(ann.path)).form("RemovePaymentMethod") for _ in range(2)]
    assert (await visitor.submit(forms[0])).status == 303
    answer = await visitor.submit(forms[1])
    assert answer.status == 422
    assert answer.page.roles["alert"] == ["Remove payment method: refused, payment method not found."]


async def test_rejections_that_belong_to_no_field_stand_at_the_form(visitor: Visitor, ann: Known) -> None:
    page = await visitor.show(ann.path)
    assert (await visitor.give(ann.path, "ChangeStatus", newStatus="INACTIVE", reason="x")).status == 303
    answer = await visitor.submit(page.form("RedeemPoints"), points="1", reason="x")
    assert answer.status == 422
    assert answer.page.roles["alert"] == [
        "The customer is not active. Only an active customer can redeem points."
    ]
    same = {"street": "1 Main St", "city": "Arlington", "zipCode": "22201", "country": "US"}
    answer = await visitor.give(ann.path, "AddDeliveryAddress", **same)
    assert answer.page.roles["alert"] == ["The customer has exactly this address already."]


async def test_a_taken_email_is_said_at_its_field(visitor: Visitor, client: Client, ann: Known) -> None:
    await registered(client, email="bob@example.com")
    answer = await visitor.give(ann.path, "UpdateProfile", email="bob@example.com")
    assert answer.status == 422
    form = answer.page.form("UpdateProfile")
    assert answer.page.error_of(form, "email") == "Another customer has this email."


async def test_the_right_one_of_several_addresses_is_removed(visitor: Visitor, ann: Known) -> None:
    first, second = ann.world.customers[ann.id].addresses
    page = await visitor.show(ann.path)
    assert [page.form("RemoveDeliveryAddress", at)["addressId"].value for at in range(2)] == [
        first.id,
        second.id,
    ]
    assert len([form for form in page.forms if form.command == "SetDefaultDeliveryAddress"]) == 1
    await visitor.give(ann.path, "RemoveDeliveryAddress", at=0)
    (left,) = ann.world.customers[ann.id].addresses
    assert (left.id, left.is_default) == (second.id, True)


async def test_an_error_at_one_of_several_redemptions_is_shown_there(
    visitor: Visitor, client: Client, ann: Known
) -> None:
    await visitor.give(ann.path, "RedeemPoints", points="5", reason="x", redemptionId="r-2")
    answer = await visitor.give(ann.path, "CancelRedemption", at=1, reason="")
    forms = [answer.page.form("CancelRedemption", at) for at in range(2)]
    assert [form["redemptionId"].value for form in forms] == ["r-2", "r 1/ü"]
    assert [answer.page.error_of(form, "reason") for form in forms] == [None, "Fill this in."]


async def test_a_cancelled_redemption_is_not_offered_again(visitor: Visitor, ann: Known) -> None:
    await visitor.give(ann.path, "CancelRedemption", reason="order failed")
    page = await visitor.show(ann.path)
    assert "CancelRedemption" not in page.commands
    assert ann.world.customers[ann.id].points == 150


async def test_an_older_redemption_is_cancelled_by_its_id(visitor: Visitor, ann: Known) -> None:
    assert len((await visitor.show(ann.path)).forms_of("CancelRedemption")) == 1, "all lines are shown"
    for number in range(LEDGER_LINES):
        await visitor.give(ann.path, "RedeemPoints", points="1", reason="x", redemptionId=f"r-{number}")
    *shown, form = (await visitor.show(ann.path)).forms_of("CancelRedemption")
    assert [each["redemptionId"].value for each in shown] == [f"r-{n}" for n in reversed(range(LEDGER_LINES))]
    for typed, fault in (("", "Fill this in."), ("none", "The customer has no redemption with this id.")):
        answer = await visitor.submit(form, redemptionId=typed, reason="order failed")
        assert answer.status == 422
        form = answer.page.forms_of("CancelRedemption")[-1]
        assert form["redemptionId"].value == typed
        assert answer.page.error_of(form, "redemptionId") == fault
    before = ann.world.customers[ann.id].points
    answer = await visitor.submit(form, redemptionId="r 1/\u00fc", reason="order failed")
    assert answer.status == 303
    assert ann.world.customers[ann.id].points == before + 20


async def test_what_makes_no_sense_is_not_offered(visitor: Visitor, client: Client, world: World) -> None:
    customer_id = await registered(client)
    world.order(customer_id, "o-1", 600_000)  # PLATINUM
    page = await visitor.show(f"/desk/customers/{customer_id}")
    assert page.commands.isdisjoint(
        {"UpgradeMembership", "CancelRedemption", "RemoveDeliveryAddress", "RemovePaymentMethod"}
    )


async def test_a_form_without_its_id_is_no_failure_of_the_worker(visitor: Visitor, ann: Known) -> None:
    page = await visitor.show(ann.path)
    for command, hidden in (
        ("RemoveDeliveryAddress", "addressId"),
        ("CancelRedemption", "redemptionId"),
        ("RemovePaymentMethod", "paymentMethodId"),
    ):
        form = page.form(command)
        for fields in (
            [(name, value) for name, value in form.filled() if name != hidden],
            [(name, "" if name == hidden else value) for name, value in form.filled()],
        ):
            answer = await visitor.post(form.action, fields)
            assert answer.status == 422, answer.page.text
    assert ann.commands() == []


async def test_a_form_whose_key_was_changed_is_refused(visitor: Visitor, ann: Known) -> None:
    form = (await visitor.show(ann.path)).form("ChangeStatus")
    for key in ("", "x" * 101, "with space", "\u00fc", "\r\nX: y"):
        answer = await visitor.submit(form, idempotencyKey=key, newStatus="INACTIVE", reason="x")
        assert answer.status == 403
    assert ann.commands() == []


async def test_a_command_that_the_desk_does_not_give_is_404(visitor: Visitor, ann: Known) -> None:
    form = (await visitor.show(ann.path)).form("ChangeStatus")
    for command in ("RegisterCustomer", "Nothing"):
        path = f"{ann.path}/{command}"
        fields = [*form.filled(), ("formToken", "x")]
        assert (await visitor.post(path, fields)).status == 403  # its token is of another path
    assert ann.commands() == []


async def test_numbers_and_texts_are_taken_without_the_blanks_around_them(
    visitor: Visitor, ann: Known
) -> None:
    fill = {"points": " +7 ", "reason": "  late parcel ", "adjustmentId": " a-1 "}
    assert (await visitor.give(ann.path, "AdjustPoints", **fill)).status == 303
    data = ann.world.records[-1]["received"].command
    assert (data.points, data.reason, data.adjustment_id) == (7, "late parcel", "a-1")


# The erasure.


async def test_an_erasure_needs_the_typed_id(visitor: Visitor, ann: Known) -> None:
    for typed in ("somebody else", ann.id.upper() + "x", ann.id[:-1]):
        answer = await visitor.give(ann.path, "EraseCustomer", reason="asked", customerId=typed)
        assert answer.status == 422
        form = answer.page.form("EraseCustomer")
        assert answer.page.error_of(form, "customerId") == "This is not the id of this customer."
        assert form["reason"].value == "asked"
        assert form["customerId"].value == typed
    assert ann.commands() == []


async def test_an_erasure_needs_a_reason(visitor: Visitor, ann: Known) -> None:
    answer = await visitor.give(ann.path, "EraseCustomer", reason="", customerId=ann.id)
    assert answer.status == 422
    assert answer.page.error_of(answer.page.form("EraseCustomer"), "reason") == "Fill this in."
    assert ann.commands() == []


async def test_an_erased_customer_is_gone_and_the_page_says_so(visitor: Visitor, ann: Known) -> None:
    form = (await visitor.show(ann.path)).form("EraseCustomer")
    answers = [await visitor.submit(form, reason="asked", customerId=ann.id) for _ in range(2)]
    assert answers[0].to == answers[1].to
    assert "Erase customer: done" in (await visitor.show(answers[0].to)).text
    gone = await visitor.get(ann.path)
    assert gone.status == 410
    for secret in ("Ann", "ann@example.com", "Main St"):
        assert secret not in gone.page.text
    answer = await visitor.submit(form, reason="asked again", customerId=ann.id)
    assert answer.status == 410


# A command without a result.


@pytest.fixture
async def impatient(ann: Known, world: World, serve: Serve) -> Visitor:
    """Somebody at a worker that waits a tenth of a second for results."""
    gateway = InMemoryGateway(world)
    gateway.own()
    return Visitor(await serve(gateway=gateway, limits=Limits(result_s=0.1)))


async def test_a_command_without_a_result_shows_a_page_that_looks_again_until_there_is_one(
    impatient: Visitor, ann: Known
) -> None:
    ann.world.silent = True
    form = (await impatient.show(ann.path)).form("ChangeStatus")
    answers = [await impatient.submit(form, newStatus="INACTIVE", reason="x") for _ in range(2)]
    assert answers[0].to == answers[1].to
    waiting = await impatient.show(answers[0].to)
    assert waiting.roles["status"]
    assert "No result yet" in waiting.text
    refresh = [given for tag, given in waiting.elements if given.get("http-equiv") == "refresh"]
    assert [given["content"] for given in refresh] == ["2"]
    ann.world.take(ann.world.records[0]["received"])
    done = await impatient.show(answers[0].to)
    assert "Change status: done" in done.text
    assert not [given for tag, given in done.elements if given.get("http-equiv") == "refresh"]
    assert ann.path in done.links


async def test_a_late_rejection_is_shown_too(impatient: Visitor, ann: Known) -> None:
    ann.world.silent = True
    answer = await impatient.give(ann.path, "RedeemPoints", points="9999", reason="x")
    ann.world.take(ann.world.records[0]["received"])
    page = await impatient.show(answer.to)
    assert page.roles["alert"] == ["Insufficient points. Nothing changed."]


async def test_a_command_that_nobody_knows_is_404(visitor: Visitor, ann: Known) -> None:
    assert (await visitor.get(f"{ann.path}/commands/unknown")).status == 404


async def test_a_worker_that_cannot_produce_says_that_nothing_was_done(
    world: World, serve: Serve, client: Client, ann: Known
) -> None:
    gateway = InMemoryGateway(world)
    gateway.own()
    visitor = Visitor(await serve(gateway=gateway))
    gateway.can_send = False
    answer = await visitor.give(ann.path, "ChangeStatus", newStatus="INACTIVE", reason="typed")
    assert answer.status == 422
    assert answer.page.roles["alert"][0].startswith("Nothing was done, because Kafka")
    form = answer.page.form("ChangeStatus")
    assert form["reason"].value == "typed"
    gateway.can_send = True
    assert (await visitor.submit(form)).status == 303


async def test_an_unknown_result_on_a_page_is_left_out(visitor: Visitor, ann: Known) -> None:
    for done in ("unknown", "x" * 200, "%00", ""):
        assert "status" not in (await visitor.show(f"{ann.path}?done={done}")).roles


async def test_the_history_of_the_api_names_the_same_command(
    visitor: Visitor, client: Client, ann: Known
) -> None:
    """A form becomes the request that a program would send."""
    await visitor.give(ann.path, "AdjustPoints", points="1", reason="x", adjustmentId="a-1")
    answer = await client.get(f"{CUSTOMERS}/{ann.id}/timeline?limit=1")
    (entry,) = (await answer.json())["entries"]
    assert (entry["input"], entry["points"]) == ("AdjustPoints", 1)
