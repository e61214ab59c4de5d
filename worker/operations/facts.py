"""What the tables say about the application itself, read from Kafka. It needs no Faust, which takes long to import."""

from collections.abc import Mapping
from typing import Any

from tables import application
from tables.application import APPLICATION, Application
from worker.engine.exits import ExitCode, die
from worker.kafka.reader import NoSuchTopic, reading
from worker.kafka.topics import Catalogue
from worker.release import DATA_FORMAT


async def remembered(client: Mapping[str, Any], catalogue: Catalogue) -> Application:
    """The facts in the application's tables; empty for an application that has never run."""
    topic = catalogue.changelog(APPLICATION.name).name
    rows: dict[bytes, list[bytes]] = {}
    try:
        async with reading(client, [topic], range(catalogue.partitions), from_beginning=True) as reader:
            async for records in reader.to_the_end():
                for record in records:
                    rows.setdefault(record.key, []).append(record.value)
    except NoSuchTopic:
        return Application()
    return application.read((key, value) for key, values in rows.items() for value in values)


def refuse_newer(known: Application) -> None:
    """End the process with NEWER_DATA when the data has a newer format than this release reads."""
    if known.data_format > DATA_FORMAT:
        die(
            ExitCode.NEWER_DATA,
            f"data of a newer version: format {known.data_format}, and this release reads up to {DATA_FORMAT}",
        )
