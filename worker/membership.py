"""The data that a worker publishes about itself to the other members of its consumer group: release, prefix, rules."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta

import msgspec

from worker.domain.rules import RuleBook, RuleSet


class RuleClaim(msgspec.Struct, frozen=True):
    """A digest of one version in a rules file. effective_from: days since 1970 UTC. digest: of the whole set."""

    effective_from: int
    digest: str


class Member(msgspec.Struct, frozen=True, omit_defaults=True):
    """The published data of one worker.

    Attributes:
        url: its ADVERTISED_URL.
        release: its version.
        commit: the commit that it was built from.
        prefix: its TOPIC_PREFIX.
        payment_join: its PAYMENT_JOIN.
        rules: its rules file, by version.
        type_aliases: a digest of its TYPE_ALIASES; empty without any.
    """

    url: str
    release: str
    commit: str
    prefix: str
    payment_join: bool
    rules: dict[str, RuleClaim]
    type_aliases: str = ""


def claim_of(rules: RuleSet) -> RuleClaim:
    """The claim of one rule set."""
    return RuleClaim(rules.effective_from, _digest(rules))


def digest_of_aliases(aliases: Mapping[str, str]) -> str:
    """What a worker publishes of its TYPE_ALIASES: a digest, because they may be long; empty without any."""
    return _digest(aliases) if aliases else ""


def claims_of(book: RuleBook) -> dict[str, RuleClaim]:
    """The claims of all sets in a rules file, by version."""
    return {rules.version: claim_of(rules) for rules in book.sets}


def another_prefix(mine: str, theirs: str) -> str:
    """The error text when an APP_ID belongs to another TOPIC_PREFIX. mine, theirs: the two prefixes."""
    return (
        f"this APP_ID belongs to the installation with TOPIC_PREFIX {theirs!r}, and this worker has {mine!r}: "
        "give each installation an APP_ID of its own"
    )


def lacking(mine: Collection[str], others: Iterable[Mapping[str, RuleClaim]]) -> dict[str, RuleClaim]:
    """The versions of the rules that other workers have and this one lacks. mine: the versions of this worker's file."""
    return {version: claim for rules in others for version, claim in rules.items() if version not in mine}


def lacking_sentences(missing: Mapping[str, RuleClaim]) -> list[str]:
    """The reasons why a worker without these versions is not ready, one per version."""
    return [
        f"the rules file lacks version {version!r}, which others have and which is in force from {_day(claim)} on"
        for version, claim in sorted(missing.items())
    ]


def differing_rules(members: Sequence[Member]) -> list[str]:
    """The differences between the rules files of these members, one sentence per version and kind of difference."""
    claims: dict[str, set[RuleClaim]] = defaultdict(set)
    for member in members:
        for version, claim in member.rules.items():
            claims[version].add(claim)
    said = [
        f"Version {version!r} of the rules says different things in different workers' files."
        for version, different in sorted(claims.items())
        if len(different) > 1
    ]
    lacks = [
        f"Some workers' rules files lack version {version!r}, which others have."
        for version in sorted(claims)
        if any(version not in member.rules for member in members)
    ]
    return said + lacks


def _digest(said: RuleSet | Mapping[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()[:16]


def _day(claim: RuleClaim) -> date:
    return date(1970, 1, 1) + timedelta(days=claim.effective_from)
