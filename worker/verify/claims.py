"""Emails: who owns which, replayed from the log of claims and releases. First come, first served (CONTRACT section 6).

A message that was decided before it came into the log says up to where the log had been followed by then. Each claim
has to come from a command and each release from a profile change; the table has to be the end of the replay, and the
owner has to be the customer who has that email.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from worker.verify.contents import Record, Shared
from worker.verify.deliveries import Expected
from worker.verify.report import Report
from worker.verify.steps import Claimed


class ClaimLog:
    """The replay of customer.email-claims, all partitions."""

    def __init__(self, shared: Shared) -> None:
        self.owners: dict[str, Claimed] = {}
        self.granted: dict[str, dict[str, bool]] = {}
        self.claims: Counter[Claimed] = Counter()
        self.releases: Counter[Claimed] = Counter()
        self.unprocessed: set[str] = set()
        self.dead: list[Expected] = []
        self._shared = shared
        for record in sorted(shared.claims, key=_when_decided):
            self._step(record)

    def _step(self, record: Record) -> None:
        if record.value is None:
            return
        processed = self._shared.processed(record.topic, record.partition, record.offset)
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
        if kind == "ReleaseEmail":
            self.releases[wanted] += 1
            if owner == wanted:
                del self.owners[wanted.email_hash]
            return
        self.claims[wanted] += 1
        if owner is None:
            self.owners[wanted.email_hash] = wanted
        of_customer = self.granted.setdefault(wanted.customer_id, {})
        of_customer[wanted.claim_id] = owner in (None, wanted)

    def compare_table(self, report: Report) -> None:
        """The email_claims table has to be what the log leads to; what is on its way is left out."""
        table = {
            key.decode(): _claim(key.decode(), value) for key, value in self._shared.claims_table.items()
        }
        for email_hash in sorted(table.keys() | self.owners.keys()):
            if email_hash in self.unprocessed:
                continue
            found, expected = table.get(email_hash), self.owners.get(email_hash)
            if found != expected:
                who = (found or expected or Claimed("", "", "")).customer_id
                state = "is missing" if found is None else "is not what the claims lead to"
                report.differs("email claim", f"customer {who}", f"the row of {email_hash[:12]} {state}")

    def compare_messages(
        self, expected: Iterable[Claimed], releases: Iterable[Claimed], excused: set[str], report: Report
    ) -> None:
        """Every claim and release once, and none without its command. excused: customers not to be judged."""
        for name, wanted, found in (
            ("claim", Counter(expected), self.claims),
            ("release", Counter(releases), self.releases),
        ):
            for claimed in sorted(
                wanted.keys() | found.keys(), key=lambda each: (each.customer_id, each.claim_id)
            ):
                if wanted[claimed] != found[claimed] and claimed.customer_id not in excused:
                    text = f"{found[claimed]} times on the topic, {wanted[claimed]} expected"
                    report.differs(
                        f"email {name}", f"customer {claimed.customer_id}", f"{claimed.claim_id} {text}"
                    )


def _when_decided(record: Record) -> tuple[int, int, bool]:
    """Orders the records of each partition; those that were decided at the same position stay in the log's order."""
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
    """rows: customerId -> customers row; hashes: customerId -> hash of the row's email.

    An email is never owned twice; who has one owns its claim; a claim has an owner, or one who is just getting it.
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
