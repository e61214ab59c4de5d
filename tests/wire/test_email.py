"""One mailbox has one stored form, and what is no address is refused without being repeated."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.wire.email import email_hash, normalise_email


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("zoe@example.org", "zoe@example.org"),
        ("  Zoe@Example.ORG\n", "zoe@example.org"),
        ("zoe@shop.test", "zoe@shop.test"),
        ("zoe@shop.invalid", "zoe@shop.invalid"),
        ("a.b+c@example.org", "a.b+c@example.org"),
        ("zoe@münchen.de", "zoe@xn--mnchen-3ya.de"),
        ("zoe@MÜNCHEN.de", "zoe@xn--mnchen-3ya.de"),
        ("zoe@xn--mnchen-3ya.de", "zoe@xn--mnchen-3ya.de"),
        ("zoe@faß.de", "zoe@xn--fa-hia.de"),
        ("zoe@fass.de", "zoe@fass.de"),
        ("zoe@example。org", "zoe@example.org"),
        ("zoe\u0308@example.org", "zo\u00eb@example.org"),
        ("ZO\u00cb@example.org", "zo\u00eb@example.org"),
        ("zoe@mu\u0308nchen.de", "zoe@xn--mnchen-3ya.de"),
    ],
)
def test_an_address_is_stored_in_one_form(text: str, stored: str) -> None:
    assert normalise_email(text) == stored


@pytest.mark.parametrize(
    "text",
    [
        "",
        "zoe",
        "zoe@localhost",
        "zoe@",
        "@example.org",
        "a..b@example.org",
        "zoe@example..org",
        "zoe@-example.org",
        "zoe@exa_mple.org",
        "zoe@[127.0.0.1]",
        "Zoe <zoe@example.org>",
        "zoe@example.org, zoe@example.net",
        "zoe@example.org\u0000",
        "zoe@" + "a." * 130 + "org",
        "z\ud800e@example.org",
    ],
)
def test_anything_else_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        normalise_email(text)
    assert "zoe" not in str(refused.value)


def test_the_stored_form_has_at_most_254_octets() -> None:
    tail = ".".join(["a" * 63, "b" * 63, "c" * 50, "org"])
    local = 254 - len(tail) - 1
    assert len(normalise_email("z" * min(local, 64) + "@" + tail)) <= 254
    with pytest.raises(ValueError):
        normalise_email("é" * 40 + "@" + tail)


@given(st.text(max_size=40), st.sampled_from(["example.org", "münchen.de", "BÜCHER.Example", "shop.test"]))
def test_storing_a_stored_address_changes_nothing(local: str, domain: str) -> None:
    try:
        stored = normalise_email(f"{local}@{domain}")
    except ValueError:
        return
    assert normalise_email(stored) == stored
    assert unicodedata.is_normalized("NFC", stored)
    assert stored == stored.lower()


def test_the_claim_key_is_the_sha_256_of_the_stored_form() -> None:
    assert email_hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
