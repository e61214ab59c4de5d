"""Why a command or an event was not applied. Codes are the contract's."""

from enum import StrEnum


class RejectionCode(StrEnum):
    """Codes of a command result (contract, section 3)."""

    VALIDATION_FAILED = "VALIDATION_FAILED"
    CUSTOMER_NOT_FOUND = "CUSTOMER_NOT_FOUND"
    CUSTOMER_ALREADY_EXISTS = "CUSTOMER_ALREADY_EXISTS"
    CUSTOMER_ERASED = "CUSTOMER_ERASED"
    CUSTOMER_EMAIL_EXISTS = "CUSTOMER_EMAIL_EXISTS"
    VERSION_CONFLICT = "VERSION_CONFLICT"
    STATUS_TRANSITION_NOT_ALLOWED = "STATUS_TRANSITION_NOT_ALLOWED"
    CUSTOMER_NOT_ACTIVE = "CUSTOMER_NOT_ACTIVE"
    ADDRESS_EXISTS = "ADDRESS_EXISTS"
    ADDRESS_LIMIT_REACHED = "ADDRESS_LIMIT_REACHED"
    ADDRESS_NOT_FOUND = "ADDRESS_NOT_FOUND"
    PAYMENT_METHOD_NOT_FOUND = "PAYMENT_METHOD_NOT_FOUND"
    PAYMENT_METHOD_LIMIT_REACHED = "PAYMENT_METHOD_LIMIT_REACHED"
    REDEMPTION_NOT_FOUND = "REDEMPTION_NOT_FOUND"
    INSUFFICIENT_POINTS = "INSUFFICIENT_POINTS"
    MEMBERSHIP_DOWNGRADE_NOT_ALLOWED = "MEMBERSHIP_DOWNGRADE_NOT_ALLOWED"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"


class DeadLetterReason(StrEnum):
    """Codes of the header dlq-reason (contract, section 1)."""

    UNDECODABLE = "UNDECODABLE"
    INVALID = "INVALID"
    UNKNOWN_TYPE = "UNKNOWN_TYPE"
    TOO_LARGE = "TOO_LARGE"
    ORDER_CONFLICT = "ORDER_CONFLICT"
    PAYMENT_CONFLICT = "PAYMENT_CONFLICT"
    RETURN_CONFLICT = "RETURN_CONFLICT"
    WAITING_LIMIT = "WAITING_LIMIT"
    WAITING_EXPIRED = "WAITING_EXPIRED"
    CUSTOMER_ERASED = "CUSTOMER_ERASED"
    FAILED = "FAILED"


class Rejected(Exception):
    """The rules forbid the command. This is expected, and the state is unchanged. detail holds no personal data."""

    def __init__(self, code: RejectionCode, detail: str = "") -> None:
        super().__init__(code.value)
        self.code = code
        self.detail = detail


class DeadLettered(Exception):
    """The input cannot be processed, now or ever. detail holds no personal data."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.detail = detail
