"""Properties of every story of a customer, told with random messages."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.domain.given import HOME, Story, a, order, payment, registered, returned, street
from tests.domain.strategies import amounts, currencies, times, without
from worker.domain.events import STATE_ONLY
from worker.domain.ids import derived_id
from worker.domain.messages import (
    AddDeliveryAddress,
    AddPaymentMethod,
    AdjustPoints,
    CancelRedemption,
    ChangeStatus,
    Command,
    EraseCustomer,
    OrderReturned,
    RedeemPoints,
    RegisterCustomer,
    RemoveDeliveryAddress,
    RemovePaymentMethod,
    SetDefaultDeliveryAddress,
    UpdatePreferences,
    UpdateProfile,
    UpgradeMembership,
)
from worker.domain.rejections import DeadLettered, Rejected
from worker.domain.spending import net_annual, net_total
from worker.domain.state import RETURN, Customer
from worker.domain.values import (
    CustomerStatus,
    MembershipLevel,
    NotificationChannel,
    NotificationType,
    PaymentMethodType,
    PreferencesPatch,
)


def few(prefix: str) -> some.SearchStrategy[str]:
    return some.integers(0, 3).map(lambda n: f"{prefix}{n}")


command_ids = some.integers(0, 40).map(lambda n: f"k{n}")
reasons = some.just("why")
patches = some.builds(
    PreferencesPatch,
    marketing_emails=some.none() | some.booleans(),
    language=some.none() | some.sampled_from(["en-US", "de"]),
    currency=some.none() | some.sampled_from(["USD", "EUR"]),
    enabled_types=some.none() | some.lists(some.sampled_from(list(NotificationType)), max_size=3).map(tuple),
    enabled_channels=some.none()
    | some.lists(some.sampled_from(list(NotificationChannel)), max_size=3).map(tuple),
)


def commands(command: type[Command], **fields: some.SearchStrategy[Any]) -> some.SearchStrategy[Any]:
    expected_version = some.one_of(some.none(), some.none(), some.none(), some.integers(0, 20))
    return some.builds(
        lambda **kwargs: a(command, **kwargs),
        command_id=command_ids,
        expected_version=expected_version,
        **fields,
    )


entity_ids = command_ids.map(derived_id)
messages = some.one_of(
    some.builds(order, some.integers(0, 8).map(lambda n: f"o{n}"), amounts, times, currencies),
    some.builds(payment, few("p"), amounts, times, currencies),
    some.builds(returned, few("b"), some.integers(0, 8).map(lambda n: f"o{n}"), amounts, times, currencies),
    some.builds(
        returned, few("b"), some.integers(0, 8).map(lambda n: f"o{n}"), some.sampled_from([0, 1, 999, 49_999])
    ),
    commands(
        RegisterCustomer,
        name=some.just("Ann"),
        email=few("ann").map("{}@example.com".format),
        address=some.none() | some.just(HOME),
        preferences=some.none() | patches,
    ),
    commands(UpdateProfile, name=few("Ann"), email=few("ann").map("{}@example.com".format)),
    commands(ChangeStatus, new_status=some.sampled_from(list(CustomerStatus)), reason=reasons),
    commands(AddDeliveryAddress, address=some.integers(0, 14).map(street), is_default=some.booleans()),
    commands(AddDeliveryAddress, address=some.integers(0, 14).map(street), is_default=some.booleans()),
    commands(RemoveDeliveryAddress, address_id=entity_ids),
    commands(SetDefaultDeliveryAddress, address_id=entity_ids),
    commands(UpdatePreferences, preferences=patches),
    commands(
        AddPaymentMethod, method_type=some.sampled_from(list(PaymentMethodType)), last4=some.just("4242")
    ),
    commands(RemovePaymentMethod, payment_method_id=entity_ids),
    commands(RedeemPoints, points=some.integers(1, 300), reason=reasons, redemption_id=few("r")),
    commands(CancelRedemption, reason=reasons, redemption_id=few("r")),
    commands(
        AdjustPoints,
        points=some.sampled_from([-200, -7, 1, 300]),
        reason=reasons,
        adjustment_id=few("a"),
    ),
    commands(UpgradeMembership, new_level=some.sampled_from(list(MembershipLevel)), reason=reasons),
)
stories = some.lists(messages, max_size=40)


def outcome(story: Story, message: Any) -> Any:
    """The events, or the exception that the rules raise; a registration first, or orders find nobody."""
    try:
        return story.when(message)
    except (Rejected, DeadLettered) as refusal:
        return refusal


def check_consistent(customer: Customer) -> None:
    figures = [
        customer.points,
        customer.debt,
        customer.lifetime_redeemed,
        customer.lifetime_reversed,
        customer.lifetime_restored,
        customer.version,
        customer.sequence,
        *(spent.annual for kept in (customer.spending, customer.converted) for spent in kept.values()),
        *(net_annual(customer, currency) for currency in customer.spending),
        *(net_total(customer, currency) for currency in customer.spending),
    ]
    assert min(figures) >= 0
    gone = customer.lifetime_redeemed + customer.lifetime_reversed
    came = customer.lifetime_earned + customer.lifetime_restored + customer.lifetime_adjusted
    assert customer.points - customer.debt == came - gone
    assert customer.lifetime_restored <= customer.lifetime_redeemed
    assert not (customer.points and customer.debt)
    addresses = customer.addresses
    assert len(addresses) <= 10
    assert (
        len({address.id for address in addresses})
        == len({address.address for address in addresses})
        == len(addresses)
    )
    assert sum(address.is_default for address in addresses) == min(len(addresses), 1)


@settings(max_examples=300, deadline=None)
@given(stories)
def test_every_story_keeps_versions_sequences_and_figures_in_order(messages):
    story = registered()
    for message in messages:
        before, version, sequence = story.encoded, story.now.version, story.now.sequence
        result = outcome(story, message)
        if not isinstance(result, tuple) or not result:
            assert story.encoded == before
            continue
        published = [event for event in result if not isinstance(event, STATE_ONLY)]
        assert (story.now.version, story.now.sequence) == (version + 1, sequence + len(published))
        check_consistent(story.now)


@settings(max_examples=300, deadline=None)
@given(stories)
def test_deciding_never_changes_the_customer(messages):
    story = registered()
    for message in messages:
        before = story.encoded
        try:
            first, second = story.decides(message), story.decides(message)
        except (Rejected, DeadLettered):
            assert story.encoded == before
            continue
        assert story.encoded == before
        assert first == second
        story.when(message)


@settings(max_examples=300, deadline=None)
@given(stories)
def test_a_redelivery_yields_nothing_new(messages):
    story = registered()
    for message in messages:
        outcome(story, message)
        before = story.encoded
        again = outcome(story, message)
        assert again == () or isinstance(again, Rejected | DeadLettered)
        assert story.encoded == before


@settings(max_examples=300, deadline=None)
@given(stories)
def test_an_order_payment_or_return_redelivered_much_later_yields_nothing_new(messages):
    story = registered()
    counted = [
        each
        for each in messages
        if isinstance(outcome(story, each), tuple)
        and not isinstance(each, Command)
        and not (isinstance(each, OrderReturned) and (RETURN, each.return_id) not in story.ledger.lines)
    ]
    before = story.encoded
    assert [story.when(each) for each in counted] == [()] * len(counted)
    assert story.encoded == before


@settings(max_examples=200, deadline=None)
@given(stories)
def test_a_customer_and_their_ledger_survive_encoding(messages):
    story = registered()
    for message in messages:
        outcome(story, message)
    assert msgspec.json.decode(msgspec.json.encode(story.now), type=Customer) == story.now
    lines = story.ledger.lines
    for line in lines.values():
        assert msgspec.json.decode(msgspec.json.encode(line), type=type(line)) == line


@settings(max_examples=200, deadline=None)
@given(stories)
def test_a_customer_decoded_between_any_two_messages_goes_on_the_same(messages):
    kept, stored = registered(), registered()
    for message in messages:
        outcome(kept, message)
        outcome(stored, message)
        stored.customer = msgspec.json.decode(msgspec.json.encode(stored.now), type=Customer)
    assert stored.now == kept.now


WHO = ("name", "email", "phone", "birth_date", "addresses", "payment_methods", "preferences")
NOBODY = without(Customer(id="c1", name="", email=""))


@settings(max_examples=300, deadline=None)
@given(stories, stories)
def test_erasure_leaves_the_figures_of_any_story_alone_and_ends_it(messages, later):
    story = registered()
    for message in messages:
        outcome(story, message)
    before, told = without(story.now, *WHO), story.now.version
    story.when(a(EraseCustomer, "erase", reason="why"))
    assert without(story.now, *WHO) == before | {
        "version": told + 1,
        "sequence": before["sequence"] + 1,
        "updated_at": story.now.updated_at,
        "erased": True,
    }
    assert {field: getattr(story.now, field) for field in WHO} == {field: NOBODY[field] for field in WHO}
    ended = story.encoded
    assert all(isinstance(outcome(story, message), Rejected | DeadLettered) for message in later)
    assert story.encoded == ended
