"""Each method of Faust, mode, aiokafka, aiohttp and email-validator that is overridden or relied on.

The guard (worker.engine.patches.guard), the layer test and docs/faust-and-aiokafka.md read this list and no other.
`python -m tests.docs.patches --guard METHOD` prints the guard of the installed method, for a new row.
"""

from typing import NamedTuple

REPLACED, EXTENDED, RELIED_ON = "replaced", "extended", "relied on"
"""How a method is used.

REPLACED: our method runs instead. EXTENDED: our method calls theirs. RELIED_ON: theirs runs, and our code depends on it.
"""

_PACKAGE = "worker/engine/patches"
APP = f"{_PACKAGE}/app.py"
ASSIGNOR = f"{_PACKAGE}/assignor.py"
BUILDERS = f"{_PACKAGE}/builders.py"
CONNECTIONS = f"{_PACKAGE}/connections.py"
CONSUMER = f"{_PACKAGE}/consumer.py"
EMAILS = f"{_PACKAGE}/emails.py"
FETCHES = f"{_PACKAGE}/fetches.py"
FRAMES = f"{_PACKAGE}/frames.py"
HTTP_SERVER = f"{_PACKAGE}/http_server.py"
MESSAGES = f"{_PACKAGE}/messages.py"
PROCESS = f"{_PACKAGE}/faust_worker.py"
PRODUCER = f"{_PACKAGE}/producer.py"
RECOVERY = f"{_PACKAGE}/recovery.py"
SESSIONS = f"{_PACKAGE}/sessions.py"
TASKS = f"{_PACKAGE}/tasks.py"
TRANSACTION = "worker/engine/transaction.py"


class Patch(NamedTuple):
    """A method of a library.

    Attributes:
        method: module:Class.method, or module:function.
        use: REPLACED, EXTENDED or RELIED_ON.
        where: our file.
        guard: worker.engine.patches.guard.guard_of of the method for which the patch was written.
        why: a sentence.
    """

    method: str
    use: str
    where: str
    guard: str
    why: str


def _of(whose: str, where: str, *methods: tuple[str, str, str, str]) -> tuple[Patch, ...]:
    """Patches of one class or module in one of our files."""
    return tuple(Patch(whose + name, use, where, guard, why) for name, use, guard, why in methods)


# A row a line.
# fmt: off
PATCHES = (
    *_of("faust.transport.consumer:Consumer", CONSUMER,
        (".ack", REPLACED, "5fcf41cf45153475", "Offsets belong to the engine's transactions."),
        (".commit", REPLACED, "a354437baaa08bf8", "Offsets belong to the engine's transactions."),
        (".wait_empty", REPLACED, "e4662fe24f094819", "The engine has finished its transactions before."),
        (".on_stop", EXTENDED, "45b1d2210ce2b526", "The engine closes first."),
        (".perform_seek", REPLACED, "0e8c130ff4b0afd8", "The recovery says where to seek, by seek_to."),
        (".on_partitions_revoked", EXTENDED, "d04b7ae72c6fc206", "The running transactions finish first."),
        (".on_partitions_assigned", EXTENDED, "29ce96596f05a18c", "The partitions are fenced first."),
        ("._drain_messages", REPLACED, "44a2500309e83c63", "A partition's fetch becomes one event."),
        ("._get_active_partitions", RELIED_ON, "b24897f3c7afdb5d", "It names what may be fetched.")),
    *_of("faust.transport.drivers.aiokafka:Consumer", CONSUMER,
        (".verify_event_path", REPLACED, "a17e8f0610e1abcb", "It warns of acknowledgements, which are off.")),
    *_of("faust.transport.drivers.aiokafka:AIOKafkaConsumerThread", CONSUMER,
        ("._create_worker_consumer", EXTENDED, "c2701bfc3e6f6cad", "The consumer reads committed records."),
        ("._fetch_records", RELIED_ON, "39a2c6c79fc1455a", "It passes our set of partitions to aiokafka.")),
    *_of("faust.tables.recovery:Recovery", RECOVERY,
        ("._restart_recovery", REPLACED, "6bd8a8558a2dffe4", "The engine restores the tables."),
        ("._slurp_changelogs", REPLACED, "7825c7e50f766d5a", "The engine's own reader reads changelogs."),
        ("._publish_stats", REPLACED, "48939a846a9af3a6", "There is nothing to publish."),
        (".on_recovery_completed", REPLACED, "6ef567acf072e46d", "The seek comes before the resume."),
        (".on_rebalance", RELIED_ON, "aa4d997a1795ceae", "It starts the recovery after an assignment."),
        ("._wait", RELIED_ON, "ec7429b70176f8c6", "A rebalance ends the wait for a restore.")),
    *_of("faust.tables.manager:TableManager", RECOVERY,
        (".on_start", REPLACED, "365dd25fbc0e0684", "Faust's own restore and its waits are left out.")),
    *_of("faust.assignor.partition_assignor:PartitionAssignor", ASSIGNOR,
        ("._perform_assignment", EXTENDED, "1e0bf2c5c8f42574", "Members learn what all say of themselves.")),
    *_of("faust.assignor.copartitioned_assignor:CopartitionedAssignor", ASSIGNOR,
        (".__init__", RELIED_ON, "72bdba15ec1827e9", "Its replacement takes the same arguments."),
        (".get_assignment", REPLACED, "9e7c467c7140fd22", "Members hold fair shares.")),
    *_of("faust.app.base:App", APP,
        ("._new_transport", REPLACED, "42db531312dd776f", "The transport is the engine's."),
        ("._on_partitions_revoked", RELIED_ON, "d5c895bbe57dc73a", "Its order of steps at a revocation."),
        ("._on_partitions_assigned", RELIED_ON, "de932b7927db85b3", "Its order of steps at an assignment.")),
    *_of("faust.web.drivers.aiohttp:Web", APP,
        (".on_start", RELIED_ON, "c1e60debee22697b", "It starts the web server with our options."),
        (".start_server", RELIED_ON, "b0c4f10491828520", "It sets up the server to which sockets are added.")),
    *_of("mode.worker:Worker", PROCESS,
        ("._stop_on_signal", RELIED_ON, "beff8fabfeb1e1e3", "It stops the worker at SIGTERM."),
        (".execute_from_commandline", EXTENDED, "212e98f635d7a69b", "The timer of a shutdown ends with it."),
        (".stop_and_shutdown", RELIED_ON, "bf1608cc301123cf", "It calls our stop, which starts the timer.")),
    *_of("aiokafka.consumer.fetcher:FetchResult", FETCHES,
        (".getall", REPLACED, "3e717e30de5068d5", "It goes through our unpacked records."),
        (".check_assignment", RELIED_ON, "b5340df67e3f330f", "It drops what was fetched before a seek."),
        ("._update_position", RELIED_ON, "83fb1473bf10027b", "It takes the position from what was read.")),
    *_of("aiokafka.consumer.fetcher:PartitionRecords", FETCHES,
        (".__init__", EXTENDED, "8ec1c2ae6ea1af87", "A restore asks for whole record batches."),
        ("._unpack_records", REPLACED, "b803e6d46480732c", "It unpacks within bounds."),
        (".__next__", EXTENDED, "63ac34a08c309098", "It waits for what takes long to unpack."),
        ("._consume_aborted_up_to", RELIED_ON, "56876530cd6412f3", "It knows aborted transactions."),
        ("._contains_abort_marker", RELIED_ON, "17e9ad2322ef4e0a", "It reads control batches.")),
    *_of("aiokafka.consumer.fetcher:Fetcher", FETCHES,
        (".fetched_records", EXTENDED, "be4348896b9b66af", "What is handed on at once is bounded by bytes."),
        (".__init__", EXTENDED, "bf21ecb7e0f210b7", "Its client keeps fetch sessions.")),
    *_of("aiokafka.producer.producer:AIOKafkaProducer", PRODUCER,
        ("._serialize", EXTENDED, "eb7723aa42b2a40e", "It measures header names of any bytes too."),
        (".__init__", EXTENDED, "fd6f2966fb3dc883", "The sender is one whose commits are certain."),
        (".start", RELIED_ON, "bae900a5e83a6d97", "It starts our sender."),
        (".commit_transaction", RELIED_ON, "c7f9677c89413f97", "It waits for what our sender completes.")),
    *_of("aiokafka.producer.message_accumulator:BatchBuilder", BUILDERS,
        (".__init__", EXTENDED, "35b335f054d36d27", "What another builder needs is remembered."),
        (".append", EXTENDED, "657d76f55157d9ca", "Header names may be any bytes."),
        ("._build", RELIED_ON, "2ea37ea8632073e3", "It asks the builder for its bytes once."),
        ("._set_producer_state", REPLACED, "ab6b10c5329a1dd9", "Any of three builders may be at work.")),
    *_of("aiokafka.producer.message_accumulator:MessageAccumulator", BUILDERS,
        (".create_builder", RELIED_ON, "13dcd0ebf6b9eb44", "It makes batches of our class.")),
    *_of("aiokafka.record.default_records:_DefaultRecordBatchBuilderPy", BUILDERS,
        (".__init__", EXTENDED, "05e116b3b70693b3", "The records may be written already."),
        (".append", RELIED_ON, "9c5ddd13af84f2a1", "It lets a name encode itself."),
        (".build", RELIED_ON, "c4605147dd71bf25", "It writes the header last."),
        (".set_producer_state", RELIED_ON, "abb35c8a117932d0", "It sets what the header says of the producer."),
        ("._get_attributes", RELIED_ON, "d1907f85c4de00bd", "It says what kind of batch it is."),
        ("._write_header", REPLACED, "9de3cbd40c14cd69", "The checksum is computed in C.")),
    *_of("aiokafka.consumer.fetcher:Fetcher", SESSIONS,
        ("._proc_fetch_request", RELIED_ON, "59bf948fff47eed5", "It takes answers that leave partitions out.")),
    *_of("aiokafka.protocol.fetch:FetchRequest", SESSIONS,
        (".build", RELIED_ON, "952ef0f41192efc3", "It makes the request that a session narrows.")),
    *_of("aiokafka.conn", FRAMES,
        (":AIOKafkaConnection.send", EXTENDED, "5909ea32f4efca49", "A produce request is written in pieces, and a fetch is narrowed."),
        (":create_conn", RELIED_ON, "673276cbddb4dc7c", "It makes connections of our class.")),
    *_of("aiokafka.protocol.types", FRAMES,
        (":Schema.encode", RELIED_ON, "0cf5f9852ba23fc4", "Its bytes are made in pieces."),
        (":Array.encode", RELIED_ON, "26bc52f6c02ab6c3", "Its bytes are made in pieces."),
        (":CompactArray.encode", RELIED_ON, "f763007f7c2fe6a3", "Its bytes are made in pieces."),
        (":Bytes.encode", RELIED_ON, "ca5c8b815204d333", "Its bytes are made in pieces."),
        (":CompactBytes.encode", RELIED_ON, "07efe8f189226a32", "Its bytes are made in pieces.")),
    *_of("aiokafka.producer.sender:Sender", PRODUCER,
        (".__init__", RELIED_ON, "dae60514401a3817", "Our sender is made with its arguments."),
        (".start", EXTENDED, "ef0a0cbbf1f69e7d", "The transaction version is decided first."),
        ("._find_coordinator", EXTENDED, "33001a36bf6a0ae0", "A broker that dies while it is asked fails no batch."),
        ("._coordinator_dead", RELIED_ON, "2776709866dba370", "It forgets a coordinator that moved."),
        ("._maybe_do_transactional_request", EXTENDED, "71227a8a4d9ca80d", "Version 2 adds no partitions."),
        ("._send_produce_req", EXTENDED, "aea01ae4b6c794cc", "Version 2 has its own produce request."),
        ("._do_txn_commit", REPLACED, "8263eaebb7c30ea1", "The outcome is known before anything follows."),
        ("._sender_routine", RELIED_ON, "2380dc5e333d9ebd", "It asks again until the commit is complete.")),
    *_of("aiokafka.producer.sender:SendProduceReqHandler", PRODUCER,
        (".create_request", REPLACED, "807639a952058369", "Version 2 has its own produce request."),
        (".do", RELIED_ON, "2dccd3d56b1607fb", "It sends the request and handles the answer."),
        (".handle_response", EXTENDED, "850323cc8f77abc3", "The answer takes the form that it knows."),
        ("._can_retry", RELIED_ON, "7ff5d491d977aacf", "It decides which errors are repeated.")),
    *_of("aiokafka.producer.transaction_manager:TransactionManager", PRODUCER,
        (".partition_added", RELIED_ON, "fa545b6995db15ce", "It notes a partition without a request."),
        (".maybe_add_partition_to_txn", RELIED_ON, "e0a118be379a7f75", "It notes what a transaction touches."),
        (".complete_transaction", RELIED_ON, "a889064973b32b84", "It ends what is known to be over."),
        (".sequence_number", RELIED_ON, "c2b996db50417fee", "Sequences begin again with an epoch.")),
    *_of("aiokafka.producer.message_accumulator:MessageAccumulator", TRANSACTION,
        (".drain_by_nodes", RELIED_ON, "fc995afbfc5718e2", "Whole record batches leave in their order.")),
    *_of("aiokafka.client:AIOKafkaClient", CONNECTIONS,
        (".__init__", EXTENDED, "edf3d022956032ba", "Each broker has a pause of its own."),
        ("._get_conn", EXTENDED, "68ce5d8391719d33", "Attempts to reach a broker back off."),
        (".ready", RELIED_ON, "79d9637f40fc070e", "It takes no connection for not ready."),
        (".force_metadata_update", RELIED_ON, "cb7befef21c8f3f9", "It asks for leaders anew."),
        (".send", EXTENDED, "246b277687d7b687", "After a time-out no connection to it is used.")),
    *_of("aiokafka.conn:AIOKafkaConnection", MESSAGES,
        ("._handle_frame", RELIED_ON, "46a7d9b8cf7ca222", "It decodes our answers.")),
    *_of("aiokafka.conn:AIOKafkaConnection", CONNECTIONS,
        (".close", RELIED_ON, "28f164aa1e4f0bbc", "It ends what waits on a connection.")),
    *_of("aiokafka.protocol.api:Request", MESSAGES,
        (".prepare", RELIED_ON, "3a65d9fdefe34d3f", "It picks a request's version.")),
    *_of("aiokafka.protocol.api:RequestStruct", MESSAGES,
        (".parse_response_header", RELIED_ON, "fe83e2edecbb44b2", "It reads headers of flexible versions.")),
    *_of("aiokafka.producer.sender:AddPartitionsToTxnHandler", PRODUCER,
        (".handle_response", RELIED_ON, "67266db24da2dfaf", "It waits BACKOFF_OVERRIDE, which is shorter here.")),
    *_of("aiohttp.web_protocol:RequestHandler", HTTP_SERVER,
        (".handle_error", REPLACED, "self, request, status, exc, message", "No answer repeats what was sent.")),
    *_of("aiokafka.util", TASKS,
        (":create_task", REPLACED, "97e987027b5b2d48", "A long-lived task that dies ends the process.")),
    *_of("mode.services:Service", TASKS,
        ("._execute_task", EXTENDED, "2a976a30f01cbbef", "A service's task that dies ends the process.")),
    *_of("aiokafka", TASKS,
        (".client:AIOKafkaClient._md_synchronizer", RELIED_ON, "e0421bffa9a7735a", "It lasts as long as its client."),
        (".consumer.fetcher:Fetcher._fetch_requests_routine", RELIED_ON, "2a8ec5932644c9b0", "It lasts as long as its consumer."),
        (".consumer.group_coordinator:GroupCoordinator._coordination_routine", RELIED_ON, "75273e127d4a4f5d", "It lasts as long as its consumer.")),
    *_of("aiohttp.web_server:Server", HTTP_SERVER,
        (".connection_made", EXTENDED, "self, handler, transport", "Open connections are bounded.")),
    *_of("email_validator.syntax", EMAILS,
        (":validate_email_domain_name", RELIED_ON, "domain, test_environment, globally_deliverable", "Its list of reserved domains is empty here."),
        (":validate_email_length", REPLACED, "addrinfo", "The limit holds for the stored form alone.")),
)
# fmt: on
