"""Commands: whoever sent one gets an answer with an error per field, as long as it says who it is."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.samples import COMMANDS, binary_headers, cloud_event, command
from worker.domain import messages
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.values import NotificationType, PreferencesPatch
from worker.wire.commands import COMMAND_MODELS, ReceivedCommand, decode_command
from worker.wire.validation import InvalidData, read_data

REGISTER = COMMANDS["RegisterCustomer"]
CARD = "4111 1111 1111 1111"


def received(kind: str, data: object, /, **envelope: object) -> ReceivedCommand:
    """What a flat command is decoded to."""
    return decode_command(json.dumps(command(kind, data, **envelope)).encode(), [])


def errors(kind: str, data: object, /, **envelope: object) -> dict[str, str]:
    """Field → code of what is wrong with it."""
    answer = received(kind, data, **envelope)
    assert (answer.command is None) == bool(answer.errors)
    return {error.field: error.code for error in answer.errors}


def test_a_registration_is_normalised() -> None:
    answer = received("RegisterCustomer", REGISTER, expectedVersion=3, correlationId="x-1")
    assert answer.errors == ()
    sent = answer.command
    assert isinstance(sent, messages.RegisterCustomer)
    assert (sent.name, sent.email, sent.phone) == ("Zoë", "zoe@example.org", "+14155552671")
    assert (sent.expected_version, sent.correlation_id, answer.correlation_id) == (3, "x-1", "x-1")
    assert sent.preferences is not None
    assert sent.preferences.enabled_types == (NotificationType.ORDER, NotificationType.POINTS)


def test_what_is_optional_may_be_absent_or_null() -> None:
    bare = {"name": "Zoë", "email": "zoe@example.org"}
    nulls = dict.fromkeys(("phone", "birthDate", "address", "preferences"))
    assert received("RegisterCustomer", bare).command == received("RegisterCustomer", bare | nulls).command
    answer = received("UpdatePreferences", {})
    assert isinstance(answer.command, messages.UpdatePreferences)
    assert answer.command.preferences == PreferencesPatch()


def test_an_update_of_the_profile_needs_all_three_and_null_clears_the_phone() -> None:
    assert errors("UpdateProfile", {"name": "Zoë", "email": "zoe@example.org"}) == {"phone": "required"}
    assert errors("UpdateProfile", {"name": "Zoë", "email": "zoe@example.org", "phone": None}) == {}


@pytest.mark.parametrize(
    ("kind", "change", "expected"),
    [
        ("RegisterCustomer", {"name": "  "}, {"name": "too_short"}),
        ("RegisterCustomer", {"name": "x" * 101}, {"name": "too_long"}),
        ("RegisterCustomer", {"name": 5}, {"name": "wrong_type"}),
        ("RegisterCustomer", {"name": None}, {"name": "wrong_type"}),
        ("RegisterCustomer", {"email": "zoe"}, {"email": "invalid_email"}),
        ("RegisterCustomer", {"phone": "415 555"}, {"phone": "invalid_phone"}),
        ("RegisterCustomer", {"phone": "+1 415"}, {"phone": "invalid_phone"}),
        ("RegisterCustomer", {"phone": "+1/415/555/2671"}, {"phone": "invalid_phone"}),
        ("RegisterCustomer", {"phone": "+1415555CALL"}, {"phone": "invalid_phone"}),
        ("RegisterCustomer", {"birthDate": "2026-11-24"}, {"birthDate": "not_in_the_past"}),
        ("RegisterCustomer", {"birthDate": "1990-02-30"}, {"birthDate": "invalid_date"}),
        (
            "RegisterCustomer",
            {"address": {"city": ""}},
            {
                "address.street": "required",
                "address.city": "too_short",
                "address.zipCode": "required",
                "address.country": "required",
            },
        ),
        ("RegisterCustomer", {"address": []}, {"address": "wrong_type"}),
        (
            "RegisterCustomer",
            {"preferences": {"language": "en_US"}},
            {"preferences.language": "invalid_language"},
        ),
        (
            "RegisterCustomer",
            {"preferences": {"language": "xx"}},
            {"preferences.language": "invalid_language"},
        ),
        (
            "RegisterCustomer",
            {"preferences": {"currency": "usd"}},
            {"preferences.currency": "unknown_currency"},
        ),
        (
            "RegisterCustomer",
            {"preferences": {"marketingEmails": 1}},
            {"preferences.marketingEmails": "wrong_type"},
        ),
        (
            "UpdatePreferences",
            {"notifications": {"enabledTypes": ["ORDER", "NEWS"], "enabledChannels": "SMS"}},
            {"notifications.enabledTypes.1": "unknown_value", "notifications.enabledChannels": "wrong_type"},
        ),
        ("AddDeliveryAddress", {"country": "de"}, {"country": "unknown_country"}),
        ("AddDeliveryAddress", {"country": "XX"}, {"country": "unknown_country"}),
        ("AddDeliveryAddress", {"label": "x" * 41}, {"label": "too_long"}),
        ("AddDeliveryAddress", {"street": "x" * 201}, {"street": "too_long"}),
        ("AddDeliveryAddress", {"zipCode": "x" * 21}, {"zipCode": "too_long"}),
        ("AddDeliveryAddress", {"street": " "}, {"street": "invalid_format"}),
        ("AddDeliveryAddress", {"isDefault": "yes"}, {"isDefault": "wrong_type"}),
        ("ChangeStatus", {"newStatus": "active"}, {"newStatus": "unknown_value"}),
        ("ChangeStatus", {"reason": "x" * 501}, {"reason": "too_long"}),
        ("ChangeStatus", {"reason": "\ud800"}, {"reason": "invalid_format"}),
        ("AddPaymentMethod", {"type": "CASH"}, {"type": "unknown_value"}),
        ("AddPaymentMethod", {"last4": "42424"}, {"last4": "invalid_format"}),
        ("AddPaymentMethod", {"last4": 4242}, {"last4": "wrong_type"}),
        ("AddPaymentMethod", {"expiry": "2029-13"}, {"expiry": "invalid_format"}),
        ("RemovePaymentMethod", {"paymentMethodId": "a\nb"}, {"paymentMethodId": "control_characters"}),
        ("RedeemPoints", {"points": 0}, {"points": "out_of_range"}),
        ("RedeemPoints", {"points": -1}, {"points": "out_of_range"}),
        ("RedeemPoints", {"points": 10**400}, {"points": "wrong_type"}),
        ("RedeemPoints", {"points": 2**53}, {"points": "out_of_range"}),
        ("RedeemPoints", {"points": "10"}, {"points": "wrong_type"}),
        ("RedeemPoints", {"points": True}, {"points": "wrong_type"}),
        ("RedeemPoints", {"points": 1.5}, {"points": "wrong_type"}),
        ("RedeemPoints", {"redemptionId": ""}, {"redemptionId": "too_short"}),
        ("CancelRedemption", {"redemptionId": "x" * 101}, {"redemptionId": "too_long"}),
        ("CancelRedemption", {"reason": ""}, {"reason": "too_short"}),
        ("AdjustPoints", {"points": 0}, {"points": "out_of_range"}),
        ("AdjustPoints", {"points": 1_000_001}, {"points": "out_of_range"}),
        ("AdjustPoints", {"points": -1_000_001}, {"points": "out_of_range"}),
        ("AdjustPoints", {"points": 10**400}, {"points": "wrong_type"}),
        ("AdjustPoints", {"points": "10"}, {"points": "wrong_type"}),
        ("AdjustPoints", {"points": False}, {"points": "wrong_type"}),
        ("AdjustPoints", {"points": 0.5}, {"points": "wrong_type"}),
        ("AdjustPoints", {"points": 1_000_000}, {}),
        ("AdjustPoints", {"points": -1_000_000}, {}),
        ("AdjustPoints", {"reason": "x" * 501}, {"reason": "too_long"}),
        ("AdjustPoints", {"adjustmentId": "a\u0000b"}, {"adjustmentId": "control_characters"}),
        ("UpgradeMembership", {"newLevel": "DIAMOND"}, {"newLevel": "unknown_value"}),
        ("EraseCustomer", {"reason": None}, {"reason": "wrong_type"}),
        ("EraseCustomer", {"reason": " "}, {"reason": "invalid_format"}),
        ("EraseCustomer", {"reason": "x" * 501}, {"reason": "too_long"}),
    ],
)
def test_data_that_breaks_a_rule_is_answered_with_its_field(
    kind: str, change: dict[str, Any], expected: dict[str, str]
) -> None:
    assert errors(kind, COMMANDS[kind] | change) == expected


@pytest.mark.parametrize(
    ("envelope", "expected"),
    [
        ({"issuedAt": None}, {"issuedAt": "required"}),
        ({"issuedAt": 5}, {"issuedAt": "wrong_type"}),
        ({"issuedAt": "2026-11-24"}, {"issuedAt": "invalid_format"}),
        ({"correlationId": 5}, {"correlationId": "wrong_type"}),
        ({"correlationId": "x" * 101}, {"correlationId": "too_long"}),
        ({"actor": 5}, {"actor": "wrong_type"}),
        ({"actor": ""}, {"actor": "too_short"}),
        ({"actor": "x" * 101}, {"actor": "too_long"}),
        ({"actor": "a\u0000b"}, {"actor": "control_characters"}),
        ({"actor": "x" * 100}, {}),
        ({"actor": None}, {}),
        ({"expectedVersion": "1"}, {"expectedVersion": "wrong_type"}),
        ({"expectedVersion": True}, {"expectedVersion": "wrong_type"}),
        ({"expectedVersion": -1}, {"expectedVersion": "out_of_range"}),
        ({"commandType": "Foo"}, {"commandType": "unknown_command"}),
        ({"commandType": None}, {"commandType": "required"}),
        ({"commandType": ["ChangeStatus"]}, {"commandType": "wrong_type"}),
        ({"data": None}, {"data": "required"}),
        ({"data": []}, {"data": "wrong_type"}),
    ],
)
def test_an_envelope_that_breaks_a_rule_is_answered_too(
    envelope: dict[str, Any], expected: dict[str, str]
) -> None:
    assert errors("ChangeStatus", COMMANDS["ChangeStatus"], **envelope) == expected


def test_the_type_of_an_unknown_command_is_not_repeated() -> None:
    answer = received("Foo", {})
    assert answer.command_type is None
    assert received("ChangeStatus", {}).command_type == "ChangeStatus"


@pytest.mark.parametrize("name", ["commandId", "customerId"])
@pytest.mark.parametrize("bad", [None, 5, "", "x" * 101, "a\u0000", "\ud800"])
def test_who_does_not_say_who_it_is_gets_no_answer(name: str, bad: object) -> None:
    with pytest.raises(DeadLettered) as refused:
        received("ChangeStatus", {}, **{name: bad})
    assert refused.value.reason is DeadLetterReason.INVALID
    assert refused.value.detail.startswith(f"{name}: ")


@pytest.mark.parametrize("value", [b"", b"[]", b"{", b"\xff", b'{"a":NaN}', b'{"a":' * 9_999, b"null"])
def test_what_is_not_a_json_object_is_a_dead_letter(value: bytes) -> None:
    with pytest.raises(DeadLettered) as refused:
        decode_command(value, [])
    assert refused.value.reason is DeadLetterReason.UNDECODABLE


def test_a_command_over_one_mebibyte_is_too_large() -> None:
    with pytest.raises(DeadLettered) as refused:
        received("ChangeStatus", {"reason": "x" * 1_048_576})
    assert refused.value.reason is DeadLetterReason.TOO_LARGE


def test_a_command_may_come_in_a_cloud_event() -> None:
    flat = command("ChangeStatus", COMMANDS["ChangeStatus"])
    plain = decode_command(json.dumps(flat).encode(), [])
    assert decode_command(cloud_event("ChangeStatus", flat), []) == plain
    assert decode_command(json.dumps(flat).encode(), binary_headers("ChangeStatus")) == plain
    del flat["commandType"]
    assert decode_command(cloud_event("ChangeStatus", flat), []) == plain
    assert decode_command(cloud_event("ChangeStatus", flat, correlationid="k"), []).correlation_id == "k"
    assert decode_command(cloud_event("ChangeStatus", flat, correlationid=7), []).correlation_id == "7"


def test_a_cloud_event_of_another_type_is_answered() -> None:
    flat = command("ChangeStatus", COMMANDS["ChangeStatus"])
    answer = decode_command(cloud_event("RedeemPoints", flat), [])
    assert [(error.field, error.code) for error in answer.errors] == [("type", "mismatch")]
    assert answer.command_type == "ChangeStatus"
    flat["commandType"] = "Foo"
    answer = decode_command(cloud_event("Foo", flat), [])
    assert [(error.field, error.code) for error in answer.errors] == [("commandType", "unknown_command")]


def test_a_broken_envelope_around_a_command_is_answered() -> None:
    flat = command("ChangeStatus", COMMANDS["ChangeStatus"])
    answer = decode_command(cloud_event("ChangeStatus", flat, source=None), [])
    assert [(error.field, error.code) for error in answer.errors] == [("source", "invalid_format")]


def test_a_cloud_event_without_a_command_is_a_dead_letter() -> None:
    with pytest.raises(DeadLettered) as refused:
        decode_command(cloud_event("ChangeStatus", None), [])
    assert refused.value.reason is DeadLetterReason.INVALID


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"name": CARD}, "name"),
        ({"email": "4111111111111111@example.org"}, "email"),
        ({"address": COMMANDS["RegisterCustomer"]["address"] | {"street": f"at {CARD}."}}, "address.street"),
        ({"note": CARD}, "note"),
        ({"notes": [{"deep": ["x", CARD]}]}, "notes.0.deep.1"),
        ({CARD: 1}, "?"),
    ],
)
def test_a_full_card_number_in_any_string_of_the_data_is_refused(data: dict[str, Any], field: str) -> None:
    assert errors("RegisterCustomer", REGISTER | data) == {field: "card_number"}


def test_an_id_or_a_phone_may_look_like_a_card_number() -> None:
    looks = {"redemptionId": CARD, "orderId": "4111111111111111"}
    assert errors("RedeemPoints", COMMANDS["RedeemPoints"] | looks) == {}
    assert errors("RegisterCustomer", REGISTER | {"phone": "+4915112345674"}) == {}


def test_unknown_fields_are_ignored_unless_the_caller_forbids_them() -> None:
    data = COMMANDS["ChangeStatus"] | {"extra": 1, "zoe@example.org": 2}
    assert errors("ChangeStatus", data) == {}
    with pytest.raises(InvalidData) as refused:
        read_data(COMMAND_MODELS["ChangeStatus"], data, issued_at=0, forbid_unknown=True)
    assert {(error.field, error.code) for error in refused.value.errors} == {
        ("extra", "unknown_field"),
        ("?", "unknown_field"),
    }


def test_unknown_fields_inside_an_address_can_be_forbidden_too() -> None:
    data = REGISTER | {"address": REGISTER["address"] | {"floor": 3}}
    with pytest.raises(InvalidData) as refused:
        read_data(COMMAND_MODELS["RegisterCustomer"], data, issued_at=None, forbid_unknown=True)
    assert [error.field for error in refused.value.errors] == ["address.floor"]


def _fingerprint(text: str) -> str:
    return decode_command(
        b'{"commandId":"k","customerId":"c","issuedAt":"2026-11-24T10:15:30Z",' + text.encode() + b"}", []
    ).fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('"commandType":"A","data":{"a":1,"b":2}', '"data":{"b":2,"a":1},"commandType":"A"'),
        ('"commandType":"A","data":{"a":1}', '"commandType":"A","data": { "a" : 1.0 }'),
        ('"commandType":"A","data":{"a":1}', '"commandType":"A","data":{"a":1e0}'),
        ('"commandType":"A","data":{"a":100}', '"commandType":"A","data":{"a":1E+2}'),
        ('"commandType":"A","data":{"a":0.10}', '"commandType":"A","data":{"a":1e-1}'),
        ('"commandType":"A","data":{"a":0}', '"commandType":"A","data":{"a":-0.0}'),
        ('"commandType":"A","data":{"a":"é"}', '"commandType":"A","data":{"a":"\\u00e9"}'),
        ('"commandType":"A","data":{"a":1e40}', '"commandType":"A","data":{"a":1' + "0" * 40 + "}"),
        (
            '"commandType":"A","data":{}',
            '"commandType":"A","data":{},"correlationId":"x","expectedVersion":9',
        ),
        ('"commandType":"A","data":{"a":1}', '"commandType":"A","data":{"a":2,"a":1}'),
    ],
)
def test_the_same_json_values_have_the_same_fingerprint(one: str, other: str) -> None:
    assert _fingerprint(one) == _fingerprint(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('"commandType":"A","data":{"a":1}', '"commandType":"B","data":{"a":1}'),
        ('"commandType":"A","data":{"a":1}', '"commandType":"A","data":{"a":"1"}'),
        ('"commandType":"A","data":{"a":1}', '"commandType":"A","data":{"a":true}'),
        ('"commandType":"A","data":{"a":null}', '"commandType":"A","data":{}'),
        (
            '"commandType":"A","data":{"a":0.1}',
            '"commandType":"A","data":{"a":0.1000000000000000055511151231257827}',
        ),
        (
            '"commandType":"A","data":{"a":9007199254740993}',
            '"commandType":"A","data":{"a":9007199254740992}',
        ),
        ('"commandType":"A","data":{"a":[1,2]}', '"commandType":"A","data":{"a":[2,1]}'),
        ('"commandType":"A","data":{"a":" x"}', '"commandType":"A","data":{"a":"x"}'),
        ('"commandType":"A","data":{"a":1e400}', '"commandType":"A","data":{"a":1e401}'),
        ('"commandType":"A","data":{"a":1e99999999}', '"commandType":"A","data":{"a":1e99999998}'),
    ],
)
def test_other_json_values_have_another_fingerprint(one: str, other: str) -> None:
    assert _fingerprint(one) != _fingerprint(other)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
_DATA_FIELDS = sorted({name for data in COMMANDS.values() for name in data})


@given(_JSON)
def test_the_spelling_of_a_value_does_not_change_its_fingerprint(data: object) -> None:
    spelled = json.dumps(command("A", data), indent=1, ensure_ascii=False, sort_keys=True)
    assert (
        decode_command(spelled.encode("utf-8", "surrogatepass"), []).fingerprint
        == received("A", data).fingerprint
    )


@given(st.sampled_from(sorted(COMMANDS)), st.dictionaries(st.sampled_from(_DATA_FIELDS), _JSON))
def test_any_data_is_applied_or_answered(kind: str, change: dict[str, Any]) -> None:
    answer = received(kind, COMMANDS[kind] | change)
    assert (answer.command is None) == bool(answer.errors)
    assert all(error.field and error.code for error in answer.errors)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_a_dead_letter(value: bytes) -> None:
    with pytest.raises(DeadLettered):
        decode_command(value, [])


def test_a_long_list_of_what_is_none_costs_no_more_than_its_first_fault() -> None:
    began = time.perf_counter()
    found = errors("UpdatePreferences", {"notifications": {"enabledTypes": ["NONE"] * 80_000}})
    assert len(found) == 1
    assert time.perf_counter() - began < 1.0  # two seconds where each item is told


def test_ids_of_unknown_fields_are_ids_too() -> None:
    assert errors("RegisterCustomer", REGISTER | {"orderId": CARD, "line": {"variant_id": CARD}}) == {}
