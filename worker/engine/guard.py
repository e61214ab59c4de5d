"""Refuse to run on any Faust or aiokafka but the one that worker.engine.hooks and fetches were written against.

The exact versions are pinned; a hash of the source of every overridden or relied-on method also catches a patched copy.
"""

import hashlib
import importlib
import inspect
from importlib.metadata import version

from mode.services import ServiceTask

VERSIONS = {
    "faust-streaming": "0.15.3",
    "mode-streaming": "0.7.1",
    "aiokafka": "0.14.0",
    "rocksdict": "0.3.29",
}

SOURCES = {
    "faust.transport.consumer:Consumer.ack": "5fcf41cf45153475",
    "faust.transport.consumer:Consumer.commit": "a354437baaa08bf8",
    "faust.transport.consumer:Consumer.wait_empty": "e4662fe24f094819",
    "faust.transport.consumer:Consumer.on_stop": "45b1d2210ce2b526",
    "faust.transport.consumer:Consumer.perform_seek": "0e8c130ff4b0afd8",
    "faust.transport.consumer:Consumer.on_partitions_revoked": "d04b7ae72c6fc206",
    "faust.transport.consumer:Consumer.on_partitions_assigned": "29ce96596f05a18c",
    "faust.transport.consumer:Consumer._drain_messages": "44a2500309e83c63",
    "faust.transport.consumer:Consumer._get_active_partitions": "b24897f3c7afdb5d",
    "faust.transport.drivers.aiokafka:Consumer.verify_event_path": "a17e8f0610e1abcb",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._create_worker_consumer": "c2701bfc3e6f6cad",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._fetch_records": "39a2c6c79fc1455a",
    "faust.tables.recovery:Recovery._restart_recovery": "6bd8a8558a2dffe4",
    "faust.tables.recovery:Recovery._slurp_changelogs": "7825c7e50f766d5a",
    "faust.tables.recovery:Recovery._publish_stats": "48939a846a9af3a6",
    "faust.tables.recovery:Recovery.on_recovery_completed": "6ef567acf072e46d",
    "faust.tables.recovery:Recovery.on_rebalance": "aa4d997a1795ceae",
    "faust.tables.recovery:Recovery._wait": "ec7429b70176f8c6",
    "faust.tables.manager:TableManager.on_start": "365dd25fbc0e0684",
    "faust.app.base:App._new_transport": "42db531312dd776f",
    "faust.app.base:App._on_partitions_revoked": "d5c895bbe57dc73a",
    "faust.app.base:App._on_partitions_assigned": "de932b7927db85b3",
    "faust.web.drivers.aiohttp:Web.on_start": "c1e60debee22697b",
    "mode.worker:Worker._stop_on_signal": "beff8fabfeb1e1e3",
    "mode.worker:Worker.execute_from_commandline": "212e98f635d7a69b",
    "mode.worker:Worker.stop_and_shutdown": "bf1608cc301123cf",
    "aiokafka.consumer.fetcher:FetchResult.getall": "3e717e30de5068d5",
    "aiokafka.consumer.fetcher:PartitionRecords.__init__": "8ec1c2ae6ea1af87",
    "aiokafka.consumer.fetcher:PartitionRecords.__iter__": "b411eeeaeb7c31dc",
    "aiokafka.consumer.fetcher:PartitionRecords._consumer_record": "e668541600b047ab",
    "aiokafka.consumer.fetcher:PartitionRecords._unpack_records": "b803e6d46480732c",
    "aiokafka.consumer.fetcher:Fetcher.__init__": "bf21ecb7e0f210b7",
    "aiokafka.consumer.fetcher:Fetcher._proc_fetch_request": "59bf948fff47eed5",
    "aiokafka.protocol.fetch:FetchRequest.build": "952ef0f41192efc3",
    "aiokafka.conn:AIOKafkaConnection.send": "5909ea32f4efca49",
    "aiokafka.producer.sender:Sender._do_txn_commit": "8263eaebb7c30ea1",
    "aiokafka.producer.sender:Sender._sender_routine": "2380dc5e333d9ebd",
}


class UnknownVersion(RuntimeError):
    """What is installed is not what the engine was proved on; the text names it."""


def check() -> None:
    """Raises UnknownVersion when a version or a method's source differs."""
    for name, wanted in VERSIONS.items():
        if version(name) != wanted:
            raise UnknownVersion(
                f"{name} {version(name)} is installed, but the engine needs exactly {wanted}"
            )
    for method, wanted in SOURCES.items():
        if source_hash(method) != wanted:
            raise UnknownVersion(f"the source of {method} is not the one that the engine was written against")


def source_hash(method: str) -> str:
    """First 16 hex digits of the SHA-256 of a method's source, given as module:Class.method."""
    module, qualified = method.split(":")
    class_name, name = qualified.split(".")
    there: type = getattr(importlib.import_module(module), class_name)
    # Hooks may have put a subclass of its own in its place.
    theirs = next(each for each in there.__mro__ if each.__module__ == module)
    found = inspect.getattr_static(theirs, name)
    if isinstance(found, ServiceTask):
        found = found.fun
    source = inspect.getsource(found)
    return hashlib.sha256(source.encode()).hexdigest()[:16]
