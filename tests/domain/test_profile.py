"""Registration, profile, status and preferences."""

import pytest

from tests.domain.given import HOME, Story, a, after, at, registered
from worker.domain.decide import claimed_email, released_email
from worker.domain.events import (
    CustomerCreated,
    CustomerProfileUpdated,
    CustomerStatusChanged,
    DeliveryAddressAdded,
    NotificationPreferencesUpdated,
)
from worker.domain.ids import derived_id
from worker.domain.messages import ChangeStatus, RegisterCustomer, UpdatePreferences, UpdateProfile
from worker.domain.rejections import Rejected, RejectionCode
from worker.domain.values import (
    CustomerStatus,
    DeliveryAddress,
    MembershipLevel,
    NotificationChannel,
    NotificationType,
    Preferences,
    PreferencesPatch,
)

ACTIVE, INACTIVE, SUSPENDED = CustomerStatus
NAME, EMAIL, PHONE = "Ann", "ann@example.com", "+15550100"


def test_a_new_customer_starts_active_at_standard_level_with_the_default_preferences():
    story = Story()
    events = story.when(
        a(
            RegisterCustomer,
            name=NAME,
            email=EMAIL,
            phone=PHONE,
            birth_date="1990-02-03",
            issued_at=at("2026-01-02"),
        )
    )
    assert events == (
        CustomerCreated(
            name=NAME,
            email=EMAIL,
            phone=PHONE,
            birth_date="1990-02-03",
            level=MembershipLevel.STANDARD,
            status=ACTIVE,
            preferences=Preferences(
                False,
                "en-US",
                "USD",
                (NotificationType.ORDER, NotificationType.DELIVERY),
                (NotificationChannel.EMAIL,),
            ),
            registered_at=at("2026-01-02"),
            customer_id="c1",
        ),
    )
    customer = story.now
    assert (customer.id, customer.name, customer.email, customer.phone) == ("c1", NAME, EMAIL, PHONE)
    assert (customer.birth_date, customer.created_at, customer.version, customer.sequence) == (
        "1990-02-03",
        at("2026-01-02"),
        1,
        1,
    )


def test_an_address_given_at_registration_becomes_the_default_one():
    story = Story()
    events = story.when(a(RegisterCustomer, "k7", name=NAME, email=EMAIL, address=HOME))
    address = DeliveryAddress(derived_id("k7"), HOME, None, True)
    assert events[1:] == (DeliveryAddressAdded(address, 1),)
    assert story.now.addresses == (address,)
    assert (story.now.version, story.now.sequence) == (1, 2)


def test_preferences_given_at_registration_replace_only_those_defaults():
    story = registered(preferences=PreferencesPatch(language="de-AT", marketing_emails=True))
    assert story.now.preferences == Preferences(marketing_emails=True, language="de-AT")


def test_a_customer_cannot_be_registered_twice():
    story = registered()
    with pytest.raises(Rejected) as rejected:
        story.when(a(RegisterCustomer, "k2", name=NAME, email="other@example.com"))
    assert rejected.value.code is RejectionCode.CUSTOMER_ALREADY_EXISTS


def test_a_profile_change_replaces_name_email_and_phone_and_tells_which_changed():
    story = registered(phone=PHONE)
    events = story.when(a(UpdateProfile, name="Ann B.", email=EMAIL, phone=None))
    assert events == (CustomerProfileUpdated("Ann B.", EMAIL, None, ("name", "phone")),)
    assert (story.now.name, story.now.email, story.now.phone) == ("Ann B.", EMAIL, None)


def test_the_same_profile_again_changes_nothing():
    story = registered(phone=PHONE)
    assert story.when(a(UpdateProfile, name=NAME, email=EMAIL, phone=PHONE)) == ()
    assert story.now.version == 1


def test_a_registration_claims_its_email_and_releases_none():
    command = a(RegisterCustomer, name=NAME, email=EMAIL)
    assert claimed_email(None, command) == EMAIL
    assert released_email(None, command) is None
    assert claimed_email(registered().now, command) is None


def test_a_change_of_email_claims_the_new_one_and_releases_the_old():
    customer = registered().now
    command = a(UpdateProfile, name=NAME, email="new@example.com")
    assert claimed_email(customer, command) == "new@example.com"
    assert released_email(customer, command) == EMAIL


def test_a_profile_change_that_keeps_the_email_claims_and_releases_none():
    customer = registered().now
    command = a(UpdateProfile, name="Ann B.", email=EMAIL)
    assert claimed_email(customer, command) is None
    assert released_email(customer, command) is None


def test_a_profile_change_of_an_unknown_customer_claims_and_releases_none():
    command = a(UpdateProfile, name=NAME, email=EMAIL)
    assert (claimed_email(None, command), released_email(None, command)) == (None, None)


def test_other_commands_claim_and_release_no_email():
    command = a(ChangeStatus, new_status=INACTIVE, reason="left")
    assert (claimed_email(registered().now, command), released_email(registered().now, command)) == (
        None,
        None,
    )


def with_status(status: CustomerStatus) -> Story:
    return after(a(ChangeStatus, "to", new_status=status, reason="so it starts"))


@pytest.mark.parametrize(
    ("old", "new"),
    [(ACTIVE, INACTIVE), (ACTIVE, SUSPENDED), (INACTIVE, ACTIVE), (INACTIVE, SUSPENDED), (SUSPENDED, ACTIVE)],
)
def test_a_status_may_change(old, new):
    story = with_status(old)
    assert story.when(a(ChangeStatus, new_status=new, reason="why")) == (
        CustomerStatusChanged(old, new, "why"),
    )
    assert story.now.status is new


def test_a_suspended_customer_cannot_become_inactive():
    story = with_status(SUSPENDED)
    with pytest.raises(Rejected) as rejected:
        story.when(a(ChangeStatus, new_status=INACTIVE, reason="why"))
    assert rejected.value.code is RejectionCode.STATUS_TRANSITION_NOT_ALLOWED


@pytest.mark.parametrize("status", list(CustomerStatus))
def test_the_same_status_again_changes_nothing(status):
    assert with_status(status).when(a(ChangeStatus, new_status=status, reason="again")) == ()


def test_a_preference_that_is_not_named_stays():
    story = registered()
    old = story.now.preferences
    events = story.when(a(UpdatePreferences, preferences=PreferencesPatch(currency="EUR")))
    assert events == (NotificationPreferencesUpdated(old, Preferences(currency="EUR")),)
    assert story.now.preferences == Preferences(currency="EUR")


def test_every_preference_can_be_changed_and_lists_keep_the_order_of_their_enum_without_duplicates():
    story = registered()
    story.when(
        a(
            UpdatePreferences,
            preferences=PreferencesPatch(
                marketing_emails=True,
                language="fr",
                currency="CHF",
                enabled_types=(NotificationType.POINTS, NotificationType.ORDER, NotificationType.POINTS),
                enabled_channels=(
                    NotificationChannel.PUSH,
                    NotificationChannel.SMS,
                    NotificationChannel.PUSH,
                ),
            ),
        )
    )
    assert story.now.preferences == Preferences(
        True,
        "fr",
        "CHF",
        (NotificationType.ORDER, NotificationType.POINTS),
        (NotificationChannel.SMS, NotificationChannel.PUSH),
    )


def test_an_empty_list_of_channels_switches_them_all_off():
    story = registered()
    story.when(a(UpdatePreferences, preferences=PreferencesPatch(enabled_channels=())))
    assert story.now.preferences.enabled_channels == ()


def test_the_same_preferences_again_change_nothing():
    command = a(UpdatePreferences, preferences=PreferencesPatch(language="en-US", enabled_types=None))
    assert registered().when(command) == ()
