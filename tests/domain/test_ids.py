"""Ids are the contract's UUIDv5, however they are computed."""

import uuid

from hypothesis import given, strategies

from worker.domain.ids import NAMESPACE, derived_id, event_id


def test_the_namespace_is_derived_from_the_name_of_the_context():
    assert uuid.uuid5(uuid.NAMESPACE_DNS, "customer-context") == NAMESPACE


@given(strategies.text(alphabet=strategies.characters(exclude_categories=["Cs"])))
def test_a_derived_id_is_the_uuid5_of_the_standard_library(text: str):
    assert derived_id(text) == str(uuid.uuid5(NAMESPACE, text))


def test_an_event_id_is_made_of_customer_input_type_and_count():
    expected = str(uuid.uuid5(NAMESPACE, "c1|o1|RewardPointsEarnedEvent|0"))
    assert event_id("c1", "o1", "RewardPointsEarnedEvent", 0) == expected
