"""Applying events: the order in which a customer can come to be."""

import pytest

from tests.domain.given import Story, a, at, registered
from worker.domain.events import CustomerStatusChanged, PaymentCounted
from worker.domain.evolve import apply, evolve
from worker.domain.ledger import ledger_lines
from worker.domain.messages import RegisterCustomer
from worker.domain.values import CustomerStatus

SUSPENDED = CustomerStatusChanged(CustomerStatus.ACTIVE, CustomerStatus.SUSPENDED, "why")


def test_nothing_happens_to_a_customer_before_they_are_created():
    with pytest.raises(ValueError, match="CustomerStatusChanged before CustomerCreated"):
        evolve(None, SUSPENDED)


def test_a_customer_is_not_created_twice():
    created = Story().decides(a(RegisterCustomer, name="Ann", email="ann@example.com"))[0]
    with pytest.raises(ValueError, match="exists already"):
        evolve(registered().now, created)


def test_no_events_leave_version_and_time_alone():
    customer = registered().now
    before = (customer.version, customer.sequence, customer.updated_at)
    assert apply(customer, (), at("2027-01-01")) is customer
    assert (customer.version, customer.sequence, customer.updated_at) == before


def test_no_events_make_no_customer():
    with pytest.raises(ValueError, match="no customer"):
        apply(None, (), 0)


def test_events_change_the_customer_in_place_with_one_version_for_all_of_them():
    customer = registered().now
    again = apply(customer, (SUSPENDED, PaymentCounted("p1", 1, "USD", 5)), at("2027-01-01"))
    assert again is customer
    assert (customer.version, customer.sequence, customer.updated_at) == (2, 2, at("2027-01-01"))


def test_no_events_leave_no_line_and_what_no_command_caused_is_a_mistake():
    customer = registered().now
    assert ledger_lines((), customer) == ()
    with pytest.raises(ValueError, match="of no command"):
        ledger_lines((SUSPENDED,), customer)
