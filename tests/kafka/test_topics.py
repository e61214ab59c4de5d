"""The catalogue: the contract's names, and how Kafka keeps each topic."""

import pytest

from worker.kafka.topics import Catalogue, Cleanup, Direction

DAY_MS = 24 * 3_600_000


def test_the_prefix_is_put_before_the_contracts_names_as_it_stands() -> None:
    catalogue = Catalogue(topic_prefix="shop-")
    assert catalogue.orders.name == "shop-order.completed"
    assert catalogue.dead_letters.name == "shop-customer.dead-letters"


def test_changelogs_are_named_by_the_app_and_know_no_prefix() -> None:
    changelog = Catalogue(topic_prefix="shop-", app_id="app").changelog("customers")
    assert changelog.name == "app-customers-changelog"
    assert changelog.cleanup is Cleanup.COMPACT
    assert changelog.direction is Direction.INTERNAL


def test_all_holds_the_contracts_topics_and_the_tables_changelogs() -> None:
    names = [topic.name for topic in Catalogue().all(["customers", "positions"])]
    assert names == [
        "customer.commands",
        "order.completed",
        "order.returned",
        "payment.completed",
        "customer.events",
        "customer.command-results",
        "customer.dead-letters",
        "customer.dead-letter-replays",
        "customer.inbox",
        "customer.email-claims",
        "customer-context-customers-changelog",
        "customer-context-positions-changelog",
    ]


def test_the_order_index_is_only_needed_where_payments_are_joined() -> None:
    catalogue = Catalogue(payment_join=True)
    assert catalogue.order_index in catalogue.all([])
    assert catalogue.order_index in catalogue.consumed
    assert Catalogue().order_index not in Catalogue().all([])
    assert "customer.order-index" not in {topic.name for topic in Catalogue().consumed}


def test_all_but_the_dead_letters_have_the_same_partitions() -> None:
    catalogue = Catalogue(partitions=6, payment_join=True)
    counts = {topic.name: topic.partitions for topic in catalogue.all(["customers"])}
    assert counts.pop(catalogue.dead_letters.name) == 1
    assert set(counts.values()) == {6}


def test_what_is_not_compacted_is_kept_for_the_retention_days_and_rolled_daily() -> None:
    catalogue = Catalogue(retention_days=3)
    for topic in catalogue.all([]):
        assert topic.cleanup is Cleanup.DELETE
        assert topic.config["retention.ms"] == str(3 * DAY_MS)
        assert topic.config["segment.ms"] == str(DAY_MS)


def test_every_topic_is_stamped_by_the_broker_whose_clock_is_the_one_that_counts() -> None:
    for topic in Catalogue(payment_join=True).all(["customers"]):
        assert topic.config["message.timestamp.type"] == "LogAppendTime"


def test_whatever_may_hold_an_input_as_it_came_takes_large_records() -> None:
    catalogue = Catalogue(payment_join=True)
    large = [topic for topic in catalogue.all(["customers"]) if "max.message.bytes" in topic.config]
    assert large == [
        catalogue.commands,
        catalogue.orders,
        catalogue.returns,
        catalogue.payments,
        catalogue.dead_letters,
        catalogue.inbox,
        catalogue.order_index,
        catalogue.changelog("customers"),
    ]


@pytest.mark.parametrize("prefix", ["with space", "a/b", "x" * 250])
def test_a_prefix_that_makes_no_legal_topic_name_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="not a topic name"):
        Catalogue(topic_prefix=prefix)
