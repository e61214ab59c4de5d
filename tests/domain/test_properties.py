"""What holds for every story, told with random ones."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.domain.given import (
    DAY_MS,
    HOME,
    NOON,
    Story,
    a,
    day_number,
    order,
    payment,
    registered,
    returned,
    street,
)
from tests.domain.oracle import Sums, expected
from worker.domain.days import Days
from worker.domain.events import STATE_ONLY
from worker.domain.ids import derived_id
from worker.domain.messages import (
    AddDeliveryAddress,
    AddPaymentMethod,
    ChangeStatus,
    Command,
    EraseCustomer,
    OrderCompleted,
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
from worker.domain.rules import DEFAULT_RULES, RuleBook, RuleSet
from worker.domain.spending import annual_spending, kept_from, net_annual, net_total, total_spending
from worker.domain.state import ORDER, RETURN, Customer, Spending
from worker.domain.values import (
    CustomerStatus,
    MembershipLevel,
    NotificationChannel,
    NotificationType,
    PaymentMethodType,
    PreferencesPatch,
)

START = day_number("2018-01-01")
SILVER, GOLD, PLATINUM = (MembershipLevel.SILVER, MembershipLevel.GOLD, MembershipLevel.PLATINUM)

days = some.one_of(
    some.sampled_from([0, 1, 363, 364, 365, 366, 729, 730, 1_095, 1_096, 1_097, 1_460, 1_461, 1_462]),
    some.integers(0, 30),
    some.integers(0, 3_000),
)
times = some.builds(
    lambda day, ms: (START + day) * DAY_MS + ms, days, some.sampled_from([0, 1, NOON, DAY_MS - 1])
)
amounts = some.one_of(
    some.sampled_from(
        [0, 1, 999, 1_000, 49_999, 50_000, 100_000, 250_000, 400_000, 500_000, 999_999, 1_000_000]
    ),
    some.integers(0, 1_200_000),
)
currencies = some.sampled_from(["USD", "USD", "USD", "EUR", "EUR", "JPY"])

STRICT = RuleSet("strict", 0, "USD", 700, ((300_000, SILVER), (2_500_000, PLATINUM)), 800_000, 365)
SHORT = RuleSet("short", 0, "USD", 1_000, ((100_000, GOLD), (600_000, PLATINUM)), 700_000, 30)
LONG = RuleSet("long", 0, "USD", 1_000, DEFAULT_RULES.levels, 1_500_000, 2_000)
EURO = RuleSet("euro", 0, "EUR", 500, DEFAULT_RULES.levels, 600_000, 365)
RATES = msgspec.structs.replace(DEFAULT_RULES, rates={"EUR": (11, 10), "JPY": (67, 100)})
OTHER_RATES = msgspec.structs.replace(SHORT, rates={"EUR": (97_531, 100_000)})
EURO_RATES = msgspec.structs.replace(EURO, rates={"USD": (1, 3)})


def book(*sets: RuleSet) -> RuleBook:
    """Each set in force from 500 days after the one before."""
    return RuleBook(
        tuple(
            msgspec.structs.replace(rules, effective_from=START + 500 * n, version=f"{rules.version}{n}")
            for n, rules in enumerate(sets)
        )
    )


rule_books = some.one_of(
    some.just(RuleBook((DEFAULT_RULES,))),
    some.just(RuleBook((RATES,))),
    some.lists(
        some.sampled_from([DEFAULT_RULES, STRICT, SHORT, LONG, EURO, RATES, OTHER_RATES, EURO_RATES]),
        min_size=1,
        max_size=3,
    ).map(lambda sets: book(*sets)),
)


@some.composite
def some_orders(draw: some.DrawFn) -> list[OrderCompleted]:
    facts = draw(some.lists(some.tuples(amounts, times, currencies), min_size=1, max_size=14))
    return [order(f"o{n}", *fact) for n, fact in enumerate(facts)]


@some.composite
def orders_in_two_orders(draw: some.DrawFn) -> tuple[list[OrderCompleted], list[OrderCompleted]]:
    orders = draw(some_orders())
    return orders, draw(some.permutations(orders))


def told(messages: list[Any], rules: RuleBook) -> Customer:
    story = registered(rules)
    for message in messages:
        story.when(message)
    return story.now


def without(customer: Customer, *fields: str) -> dict[str, Any]:
    return {key: value for key, value in msgspec.structs.asdict(customer).items() if key not in fields}


def check_against_oracle(
    customer: Customer, orders: list[OrderCompleted], rules: RuleBook, by_hand: str
) -> None:
    should_be = expected(orders, rules.sets, by_hand)
    assert (customer.level.value, customer.vip_since) == (should_be.level, should_be.vip_since)
    assert (customer.points, customer.lifetime_earned, customer.debt) == (
        should_be.points,
        should_be.points,
        0,
    )
    check_sums(customer.spending, should_be, kept_from(customer))
    check_sums(customer.converted, should_be.converted, kept_from(customer))
    for currency in customer.spending | customer.converted:
        own, converted = should_be, should_be.converted
        assert total_spending(customer, currency) == own.totals.get(currency, 0) + converted.totals.get(
            currency, 0
        )
        assert annual_spending(customer, currency) == own.annual.get(currency, 0) + converted.annual.get(
            currency, 0
        )


def check_sums(spending: dict[str, Spending], should_be: Sums, horizon: int) -> None:
    assert {currency: spent.total for currency, spent in spending.items()} == should_be.totals
    assert {currency: spent.annual for currency, spent in spending.items()} == should_be.annual
    for currency, per_day in should_be.per_day.items():
        kept = {day: amount for day, amount in per_day.items() if day >= horizon}
        assert spending[currency].days == Days.of(kept)


@settings(max_examples=400, deadline=None)
@given(orders_in_two_orders(), rule_books)
def test_arrival_order_does_not_matter(orders, rules):
    first, second = told(orders[0], rules), told(orders[1], rules)
    assert without(first, "sequence") == without(second, "sequence")
    check_against_oracle(first, orders[0], rules, "STANDARD")


@some.composite
def orders_and_returns(draw: some.DrawFn) -> tuple[list[OrderCompleted], list[Any], list[Any]]:
    """Orders, and them with returns of some of them in two orders; no more is returned than was spent."""
    orders = draw(some_orders())
    returns = []
    for each in orders:
        left = each.amount
        for n in range(draw(some.sampled_from([0, 0, 1, 2]))):
            amount = draw(some.integers(0, left) | some.just(left))
            left -= amount
            on = draw(times)
            returns.append(returned(f"{each.order_id}-{n}", each.order_id, amount, on, each.currency))
    every = [*orders, *returns]
    return orders, draw(some.permutations(every)), draw(some.permutations(every))


def told_with_waiting(messages: list[Any], rules: RuleBook) -> Story:
    """A return that comes before its order is told right after it."""
    story = registered(rules)
    for place, message in enumerate(messages):
        story.when(message)
        early = messages[:place] if isinstance(message, OrderCompleted) else []
        for each in early:
            if isinstance(each, OrderReturned) and each.order_id == message.order_id:
                story.when(each)
    return story


@settings(max_examples=400, deadline=None)
@given(orders_and_returns(), rule_books)
def test_arrival_order_of_orders_and_returns_does_not_matter(messages, rules):
    orders, first, second = messages
    one, other = told_with_waiting(first, rules), told_with_waiting(second, rules)
    assert without(one.now, "sequence") == without(other.now, "sequence")
    customer, lines = one.now, one.ledger.lines
    gross = expected(orders, rules.sets)
    assert (customer.level.value, customer.vip_since) == (gross.level, gross.vip_since)
    kept = [
        msgspec.structs.replace(each, amount=each.amount - lines[ORDER, each.order_id].returned)
        for each in orders
    ]
    net = expected(kept, rules.sets)
    assert {code: spent.total - spent.returned for code, spent in customer.spending.items()} == net.totals
    for currency in customer.spending | customer.converted:
        converted = net.converted
        total = net.totals.get(currency, 0) + converted.totals.get(currency, 0)
        annual = net.annual.get(currency, 0) + converted.annual.get(currency, 0)
        assert (net_total(customer, currency), net_annual(customer, currency)) == (total, annual)
    assert (customer.points, customer.debt, customer.lifetime_earned) == (net.points, 0, gross.points)
    assert customer.lifetime_reversed == gross.points - net.points
    assert (
        sum(line.points for (kind, _), line in lines.items() if kind == RETURN) == gross.points - net.points
    )


@settings(max_examples=300, deadline=None)
@given(some_orders(), rule_books, some.integers(0, 14), some.sampled_from([GOLD, PLATINUM]))
def test_a_level_given_by_hand_counts_the_same_whenever_it_is_given(orders, rules, position, level):
    upgrade = a(UpgradeMembership, new_level=level, reason="goodwill")
    messages: list[Any] = [*orders[:position], upgrade, *orders[position:]]
    story = registered(rules)
    for message in messages:
        try:
            story.when(message)
        except Rejected:
            assert story.now.level is PLATINUM
    check_against_oracle(story.now, orders, rules, level.value)


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
        customer.version,
        customer.sequence,
        *(spent.annual for kept in (customer.spending, customer.converted) for spent in kept.values()),
        *(net_annual(customer, currency) for currency in customer.spending),
        *(net_total(customer, currency) for currency in customer.spending),
    ]
    assert min(figures) >= 0
    gone = customer.lifetime_redeemed + customer.lifetime_reversed
    assert customer.points - customer.debt == customer.lifetime_earned - gone
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
