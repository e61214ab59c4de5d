"""email_claims: hash of the normalised email -> its owner. Partitioned by that hash. It contains no email."""

import msgspec

from tables.rows import Rows
from worker.engine.unit import Table, Unit

EMAIL_CLAIMS = Table("email_claims", b"E")


class Claim(msgspec.Struct, frozen=True):
    """The owner of an email. claim_id: the commandId that claimed it; a release must name the same one."""

    customer_id: str
    claim_id: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Claim).decode


def read(rows: Rows, email_hash: str) -> Claim | None:
    """The claim on that email, or None."""
    raw = rows.get(EMAIL_CLAIMS, email_hash.encode())
    return None if raw is None else _decode(raw)


def put(unit: Unit, email_hash: str, claim: Claim | None) -> None:
    """Set the claim; None frees the email."""
    unit.put(EMAIL_CLAIMS, email_hash.encode(), None if claim is None else _encode(claim))
