"""Checks that this worker belongs to the application of its APP_ID, before it joins a group or creates anything.

Rules:
- An APP_ID belongs to one TOPIC_PREFIX. The tables record it and members of the group publish it. For an application
  that an earlier release ran, the topics of the group's offsets show it.
- A version of the rules must not change once an order has counted by it.
- Data of a newer format is refused.
"""

from collections.abc import Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import for_code

from tables import application
from tables.application import APPLICATION
from worker import release
from worker.domain.rules import RuleBook
from worker.engine.exits import ExitCode, die
from worker.engine.patches.assignor import EARLIER_PROTOCOLS, PROTOCOL, member_of
from worker.engine.store import Store
from worker.kafka.topics import Catalogue
from worker.membership import Member, RuleClaim, another_prefix, claims_of, digest_of_aliases
from worker.operations.facts import refuse_newer, remembered
from worker.operations.group_type import is_of_another_type
from worker.settings import ConfigurationError, Settings


def myself(settings: Settings, rules: RuleBook, url: str) -> Member:
    """The data that a worker with these settings publishes about itself. url: where others reach it."""
    return Member(
        url=url,
        release=release.version(),
        commit=release.commit(),
        prefix=settings.topic_prefix,
        payment_join=settings.payment_join,
        rules=claims_of(rules),
        type_aliases=digest_of_aliases(settings.catalogue().type_aliases),
    )


async def check(client: Mapping[str, Any], catalogue: Catalogue, me: Member) -> None:
    """Raises ConfigurationError when the APP_ID is not this worker's to use, or its rules differ from what has counted.

    Ends the process with NEWER_DATA when a newer release has written data. client: aiokafka client arguments.
    """
    known = await remembered(client, catalogue)
    refuse_newer(known)
    if known.prefix is not None and known.prefix != me.prefix:
        raise ConfigurationError(_sentence(another_prefix(me.prefix, known.prefix)))
    _check_rules(known.rules, me.rules)
    await _check_group(client, catalogue, me, offsets_tell=known.prefix is None)


def inspect(store: Store, me: Member) -> dict[str, RuleClaim]:
    """Look at a restored store before it is used. Returns the versions of the rules by which its orders have counted.

    Ends the process if a newer release wrote the store, or if this worker's rules differ in such a version.
    """
    known = application.read(store.scan(APPLICATION.mark))
    refuse_newer(known)
    try:
        _check_rules(known.rules, me.rules)
    except ConfigurationError as error:
        die(ExitCode.WRONG_SETTINGS, str(error))
    return known.rules


def _check_rules(counted: Mapping[str, RuleClaim], mine: Mapping[str, RuleClaim]) -> None:
    changed = sorted(version for version, claim in counted.items() if mine.get(version, claim) != claim)
    if changed:
        raise ConfigurationError(
            f"The rules file says something else of version {', '.join(map(repr, changed))} than when orders counted "
            "by it. Restore that version, and write the change as a new version."
        )


async def _check_group(
    client: Mapping[str, Any], catalogue: Catalogue, me: Member, *, offsets_tell: bool
) -> None:
    admin = AIOKafkaAdminClient(**client)
    try:
        await admin.start()
        [answer] = await admin.describe_consumer_groups([catalogue.app_id])
        [(code, _, _, protocol_type, protocol, members, *_)] = answer.groups
        if code:
            raise for_code(code)(f"describing the group {catalogue.app_id}")
        coordinator = await admin.find_coordinator(catalogue.app_id)
        if await is_of_another_type(client, catalogue.app_id, coordinator):
            raise ConfigurationError(_foreign(catalogue.app_id))
        if members:
            _check_members(catalogue.app_id, protocol_type, protocol, members, me)
        elif offsets_tell:
            await _check_offsets(admin, catalogue, me)
    finally:
        await admin.close()


def _check_members(
    app_id: str, protocol_type: str, protocol: str, members: list[tuple[Any, ...]], me: Member
) -> None:
    if (protocol_type and protocol_type != "consumer") or (protocol and protocol != PROTOCOL):
        if protocol in EARLIER_PROTOCOLS:
            raise ConfigurationError(
                f"The group {app_id!r} is used by workers of an earlier release, or by another Faust program. "
                "Stop workers of an earlier release first; else use another APP_ID."
            )
        raise ConfigurationError(_foreign(app_id))
    for _, _, _, metadata, _ in members:
        member = member_of(ConsumerProtocolMemberMetadata.decode(metadata).user_data) if metadata else None
        if member is not None and member.prefix != me.prefix:
            raise ConfigurationError(_sentence(another_prefix(me.prefix, member.prefix)))


def _foreign(app_id: str) -> str:
    return f"The group {app_id!r} is used by a program that is not a worker of ours. Use another APP_ID, or stop it."


async def _check_offsets(admin: AIOKafkaAdminClient, catalogue: Catalogue, me: Member) -> None:
    """Check the prefix of an application that an earlier release ran, by the topics of the group's offsets."""
    plain = catalogue.commands.name.removeprefix(me.prefix)
    offsets = await admin.list_consumer_group_offsets(catalogue.app_id)
    prefixes = {tp.topic.removesuffix(plain) for tp in offsets if tp.topic.endswith(plain)}
    if prefixes and me.prefix not in prefixes:
        raise ConfigurationError(_sentence(another_prefix(me.prefix, min(prefixes))))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
