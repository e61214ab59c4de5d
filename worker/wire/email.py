"""Emails in the one form that is stored and compared.

Trimmed, NFC, lower case, the domain by UTS 46 non-transitional as A-label, at most 254 octets after that. Dots and
plus signs stay: they may be different mailboxes. Whether a domain exists, or is reserved for tests, is not asked; it
must have a dot. Nothing is cached: an erased customer's email must not live on in memory.
"""

import hashlib
import unicodedata

import email_validator

MAX_OCTETS = 254

# The library's own way to accept domains such as shop.test: they are syntactically valid, and the contract has no list.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


def normalise_email(text: str) -> str:
    """The address in its stored form. Raises ValueError, without the address in its text, when it is none."""
    try:
        checked = email_validator.validate_email(text.strip(), check_deliverability=False)
    except (ValueError, RecursionError):  # EmailSyntaxError and UnicodeError are ValueErrors
        raise ValueError("not an email address") from None
    if checked.ascii_domain is None or "." not in checked.ascii_domain:
        raise ValueError("not an email address")
    local = unicodedata.normalize("NFC", unicodedata.normalize("NFC", checked.local_part).lower())
    email = f"{local}@{checked.ascii_domain.lower()}"
    if len(email.encode()) > MAX_OCTETS:
        raise ValueError("email too long")
    return email


def email_hash(normalised: str) -> str:
    """SHA-256, in hex, of a normalised email: the key under which it is claimed."""
    return hashlib.sha256(normalised.encode()).hexdigest()
