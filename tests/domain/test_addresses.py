"""Delivery addresses."""

import pytest

from tests.domain.given import HOME, Story, a, after, registered, street
from worker.domain.events import DefaultDeliveryAddressSet, DeliveryAddressAdded, DeliveryAddressRemoved
from worker.domain.ids import derived_id
from worker.domain.messages import AddDeliveryAddress, RemoveDeliveryAddress, SetDefaultDeliveryAddress
from worker.domain.rejections import Rejected, RejectionCode
from worker.domain.values import DeliveryAddress


def with_addresses(count: int) -> Story:
    return after(*(a(AddDeliveryAddress, f"a{n}", address=street(n)) for n in range(count)))


def defaults(story: Story) -> list[str]:
    return [address.id for address in story.now.addresses if address.is_default]


def test_the_first_address_is_the_default_though_nobody_asked_for_it():
    story = registered()
    events = story.when(a(AddDeliveryAddress, "a0", address=HOME, label="Home"))
    address = DeliveryAddress(derived_id("a0"), HOME, "Home", True)
    assert events == (DeliveryAddressAdded(address, 1),)
    assert story.now.addresses == (address,)


def test_a_second_address_leaves_the_default_where_it_is():
    story = with_addresses(1)
    events = story.when(a(AddDeliveryAddress, "a1", address=street(1)))
    assert events == (DeliveryAddressAdded(DeliveryAddress(derived_id("a1"), street(1)), 2),)
    assert defaults(story) == [derived_id("a0")]


def test_a_new_default_takes_over_from_the_old_one():
    story = with_addresses(2)
    story.when(a(AddDeliveryAddress, "a2", address=street(2), is_default=True))
    assert defaults(story) == [derived_id("a2")]


def test_the_same_address_is_refused_a_second_time():
    story = with_addresses(2)
    with pytest.raises(Rejected) as rejected:
        story.when(a(AddDeliveryAddress, "a9", address=street(1), label="another label"))
    assert rejected.value.code is RejectionCode.ADDRESS_EXISTS
    assert "Street" not in rejected.value.detail


def test_the_same_command_again_adds_nothing_even_when_its_result_was_forgotten():
    story = with_addresses(2)
    assert story.when(a(AddDeliveryAddress, "a1", address=street(1))) == ()


def test_ten_addresses_are_allowed_and_an_eleventh_is_not():
    story = with_addresses(10)
    assert len(story.now.addresses) == 10
    with pytest.raises(Rejected) as rejected:
        story.when(a(AddDeliveryAddress, "a10", address=street(10)))
    assert rejected.value.code is RejectionCode.ADDRESS_LIMIT_REACHED


def test_removing_the_default_makes_the_first_one_left_the_default():
    story = with_addresses(3)
    events = story.when(a(RemoveDeliveryAddress, address_id=derived_id("a0")))
    assert events == (DeliveryAddressRemoved(derived_id("a0"), street(0), 2, derived_id("a1")),)
    assert defaults(story) == [derived_id("a1")]
    assert [address.id for address in story.now.addresses] == [derived_id("a1"), derived_id("a2")]


def test_removing_another_address_names_no_new_default():
    story = with_addresses(3)
    events = story.when(a(RemoveDeliveryAddress, address_id=derived_id("a1")))
    assert events == (DeliveryAddressRemoved(derived_id("a1"), street(1), 2, None),)
    assert defaults(story) == [derived_id("a0")]


def test_removing_the_last_address_leaves_no_default():
    story = with_addresses(1)
    events = story.when(a(RemoveDeliveryAddress, address_id=derived_id("a0")))
    assert events == (DeliveryAddressRemoved(derived_id("a0"), street(0), 0, None),)
    assert story.now.addresses == ()


def test_the_default_can_be_moved_without_an_event_for_others():
    story = with_addresses(3)
    sequence, version = story.now.sequence, story.now.version
    events = story.when(a(SetDefaultDeliveryAddress, address_id=derived_id("a2")))
    assert events == (DefaultDeliveryAddressSet(derived_id("a2")),)
    assert defaults(story) == [derived_id("a2")]
    assert (story.now.sequence, story.now.version) == (sequence, version + 1)


def test_the_default_made_default_again_changes_nothing():
    assert with_addresses(2).when(a(SetDefaultDeliveryAddress, address_id=derived_id("a0"))) == ()


@pytest.mark.parametrize("command", [RemoveDeliveryAddress, SetDefaultDeliveryAddress])
def test_an_unknown_address_is_not_found(command):
    with pytest.raises(Rejected) as rejected:
        with_addresses(1).when(a(command, address_id="nowhere"))
    assert rejected.value.code is RejectionCode.ADDRESS_NOT_FOUND
