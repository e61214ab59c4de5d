"""email-validator without two of its rules that the contract does not have.

They are the list of reserved domains, and the length limit for forms of an address that are not stored.
"""

from importlib import import_module

import email_validator


def validate_email_length(addrinfo: email_validator.ValidatedEmail) -> None:
    """Accept any length. worker.wire.email checks the stored form against the contract's limit.

    The library's limit also applies to the address as given and to its Unicode form. Both may have more octets.
    """


def install() -> None:
    """Accept reserved domains, such as shop.test, and any length.

    The library has no arguments for that. Its documentation says to change the list of domains this way.
    """
    email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()
    module = import_module(
        "email_validator.validate_email"
    )  # import_module, because the package's attribute of that name is the function
    module.validate_email_length = validate_email_length  # type: ignore[attr-defined]
