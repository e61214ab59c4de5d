"""Email ownership, replayed from the log of claims and releases. The first claim wins (contract, section 6).

Some messages were decided before they reached the log. Such a message names the position of the log that its decision
was based on. The checks:
- Each claim comes from a command, and each release from a profile change.
- The email_claims table equals the result of the replay.
- The owner of each email is the customer with that email.
"""

import json
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from typing import Any

from worker.verify.checks.account import Claimed
from worker.verify.reading.contents import Record, Shared
from worker.verify.reading.deliveries import Expected, too_large
from worker.verify.reading.inputs import Position
from worker.verify.report import Report


class ClaimLog:
    """The replay of customer.email-claims over all partitions.

    Attributes:
        owners: email hash -> the claim that owns the email.
        granted: customerId -> claim id -> whether the email was free.
        claims: how often each claim is on the topic.
        releases: how often each release is on the topic.
        unprocessed: hashes of emails with messages that may not be in the table yet.
        dead: the dead letters that the messages must or may have.
    """

    def __init__(self, shared: Shared, failed: Container[Position | None] = ()) -> None:
        """Replay the log. failed: positions of messages with a FAILED dead letter; they changed nothing."""
        self.owners: dict[str, Claimed] = {}
        self.granted: dict[str, dict[str, bool]] = {}
        self.claims: Counter[Claimed] = Counter()
        self.releases: Counter[Claimed] = Counter()
        self.unprocessed: set[str] = set()
        self.dead: list[Expected] = []
        self._shared = shared
        self._failed = failed
        for record in sorted(shared.claims, key=_when_decided):
            self._step(record)

    def _step(self, record: Record) -> None:
        processed = self._shared.processed(record.topic, record.partition, record.offset)
        if record.value is None:
            if reasons := too_large(record):
                self.dead.append(Expected(record, reasons, processed))
            return
        try:
            message = _message(record)
            wanted = Claimed((record.key or b"").decode(), message["claim_id"], message["customer_id"])
            kind = message["type"]
        except (ValueError, KeyError):
            self.dead.append(Expected(record, frozenset(("UNDECODABLE",)), processed))
            return
        if not processed or record.partition in self._shared.moving:
            self.unprocessed.add(wanted.email_hash)
        owner = self.owners.get(wanted.email_hash)
        failed = record.position in self._failed
        if failed:
            self.dead.append(Expected(record, frozenset(("FAILED",)), processed))
        if kind == "ReleaseEmail":
            self.releases[wanted] += 1
            if failed:
                return
            if owner == wanted:
                del self.owners[wanted.email_hash]
            return
        self.claims[wanted] += 1
        if failed:
            return
        if owner is None:
            self.owners[wanted.email_hash] = wanted
        of_customer = self.granted.setdefault(wanted.customer_id, {})
        of_customer[wanted.claim_id] = owner in (None, wanted)

    def compare_table(self, report: Report) -> None:
        """Compare the email_claims table with the replay. Emails with messages in flight are skipped."""
        table = {
            key.decode(): _claim(key.decode(), value) for key, value in self._shared.claims_table.items()
        }
        for email_hash in sorted(table.keys() | self.owners.keys()):
            if email_hash in self.unprocessed:
                continue
            found, expected = table.get(email_hash), self.owners.get(email_hash)
            if found != expected:
                who = (found or expected or Claimed("", "", "")).customer_id
                state = "is missing" if found is None else "differs from the replay of the claims"
                report.differs("email claim", f"customer {who}", f"the row of {email_hash[:12]} {state}")

    def compare_messages(
        self,
        expected: Iterable[Claimed],
        releases: Iterable[Claimed],
        excused: set[str],
        failed: set[tuple[str, str]],
        report: Report,
    ) -> None:
        """Check that each expected claim and release is on the topic once, and nothing else.

        Args:
            expected: the claims of the recomputed commands.
            releases: the releases of the recomputed profile changes.
            excused: customers that cannot be verified.
            failed: (customerId, commandId) of commands with a FAILED dead letter.
            report: receives the differences.
        """
        for name, wanted, found in (
            ("claim", Counter(expected), self.claims),
            ("release", Counter(releases), self.releases),
        ):
            for claimed in sorted(
                wanted.keys() | found.keys(), key=lambda each: (each.customer_id, each.claim_id)
            ):
                whose = claimed.customer_id, claimed.claim_id
                if wanted[claimed] != found[claimed] and whose[0] not in excused and whose not in failed:
                    text = f"{found[claimed]} times on the topic, {wanted[claimed]} expected"
                    report.differs(
                        f"email {name}", f"customer {claimed.customer_id}", f"{claimed.claim_id} {text}"
                    )


def _when_decided(record: Record) -> tuple[int, int, bool]:
    """The sort key of a message: partition, then the log position of its decision. Equal keys keep the log's order."""
    position = _message(record).get("position")
    if isinstance(position, int):
        return record.partition, position, False
    return record.partition, record.offset, True


def _message(record: Record) -> Mapping[str, Any]:
    try:
        message = json.loads(record.value or b"null")
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def compare_owners(
    shared: Shared,
    rows: Mapping[str, Mapping[str, Any]],
    hashes: Mapping[str, str],
    log: ClaimLog,
    report: Report,
) -> None:
    """Compare the claims with the emails in the customers table.

    No two customers have the same email. A customer with an email owns its claim. Each claim belongs to a customer with
    that email, or to one whose command is pending.

    Args:
        shared: the data of all partitions.
        rows: customerId -> row of the customers table.
        hashes: customerId -> hash of the email in that row.
        log: the replay.
        report: receives the differences.
    """
    table = {key.decode(): _claim(key.decode(), value) for key, value in shared.claims_table.items()}
    owned: dict[str, list[str]] = {}
    for customer_id, email_hash in hashes.items():
        owned.setdefault(email_hash, []).append(customer_id)
    for email_hash, customers in owned.items():
        if len(customers) > 1:
            report.differs(
                "email owned twice", " and ".join(f"customer {each}" for each in sorted(customers))
            )
        for customer_id in customers:
            wanted = Claimed(email_hash, str(rows[customer_id].get("email_claim")), customer_id)
            if table.get(email_hash) != wanted and (shared.settled or email_hash not in log.unprocessed):
                report.differs("email without its claim", f"customer {customer_id}")
    for email_hash, claim in table.items():
        row = rows.get(claim.customer_id, {}) if claim else {}
        owner = claim is not None and claim.customer_id in owned.get(email_hash, ())
        if not owner and (shared.settled or not (row.get("pending") or email_hash in log.unprocessed)):
            report.differs(
                "claim without owner", f"customer {claim.customer_id if claim else '?'}", email_hash[:12]
            )


def _claim(email_hash: str, value: bytes) -> Claimed | None:
    try:
        row = json.loads(value)
        return Claimed(email_hash, row["claim_id"], row["customer_id"])
    except (ValueError, KeyError, TypeError):
        return None
