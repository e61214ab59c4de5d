"""Emails in the one form that is stored and compared.

The form is trimmed, NFC and lower case. The domain is an A-label by UTS 46 (non-transitional) and has a dot. The form
has at most 254 octets, 64 of them before the @. Dots and plus signs stay, because they may name different mailboxes.
Domains that do not exist or are reserved for tests are valid (worker.engine.patches.emails).
This module caches nothing. tables.customers caches decoded customers, and an erasure replaces the customer there.
"""

import hashlib
import unicodedata

import email_validator

MAX_OCTETS = 254
MAX_LOCAL_OCTETS = 64  # RFC 5321, 4.5.3.1.1


def normalise_email(text: str) -> str:
    """The address in its stored form. Raises ValueError, without the address in its text, if it is not an email."""
    try:
        checked = email_validator.validate_email(text.strip(), check_deliverability=False)
    except (ValueError, RecursionError):  # EmailSyntaxError and UnicodeError are ValueErrors
        raise ValueError("not an email address") from None
    if checked.ascii_domain is None or "." not in checked.ascii_domain:
        raise ValueError("not an email address")
    local = unicodedata.normalize("NFC", unicodedata.normalize("NFC", checked.local_part).lower())
    email = f"{local}@{checked.ascii_domain.lower()}"
    if len(local.encode()) > MAX_LOCAL_OCTETS or len(email.encode()) > MAX_OCTETS:
        raise ValueError("email too long")
    return email


def email_hash(normalised: str) -> str:
    """SHA-256, in hex, of a normalised email: the key under which it is claimed."""
    return hashlib.sha256(normalised.encode()).hexdigest()
