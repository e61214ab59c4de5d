"""Changing one setting of one topic on a running broker."""

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # as its documentation imports them
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

_WITHIN_S = 20.0


def configure(bootstrap: str, topic: str, name: str, value: str | None) -> None:
    """Set a value. None removes the setting, so that the broker's default applies again."""
    operation = AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET
    entry = ConfigEntry(name, value or "", incremental_operation=operation)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": bootstrap})  # a variable, because it must outlive its futures
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(_WITHIN_S)
