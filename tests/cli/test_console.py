"""The console script as its user sees it, on a real Kafka; what the worker would publish is put there by hand."""

import asyncio
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.console import PROGRAM, run, settings
from worker.kafka.producer import producing
from worker.kafka.reader import reading
from worker.kafka.topics import Catalogue

TOPICS = Catalogue(topic_prefix="console.", partitions=3)


@pytest.fixture(scope="module", autouse=True)
def _ctrl_c_reaches_the_console() -> None:
    """A job in the background of a shell is started with SIGINT ignored, and so would be what it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def environment(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    ours = settings(kafka, "console.", tmp_path_factory.mktemp("data"))
    created = run(ours, "topics")
    assert created.returncode == 0, created.stderr
    return ours


def test_jars_come_from_the_mirror_of_the_settings(tmp_path: Path):
    file = tmp_path / "worker.env"
    file.write_text("CUSTOMER_CONTEXT_KAFKA_MIRROR=http://ada:secret@127.0.0.1:9/maven\n")
    ours = settings("", "", tmp_path) | {"CUSTOMER_CONTEXT_CACHE_DIR": str(tmp_path), "NO_PROXY": "*"}
    for command in ("broker", "worker"):
        done = run(ours, "--env-file", str(file), command)
        assert done.returncode == 1
        assert "127.0.0.1:9 refuses the connection; check CUSTOMER_CONTEXT_KAFKA_MIRROR." in done.stderr
        assert "secret" not in done.stderr


async def put(bootstrap: str, topic: str, key: str, value: dict[str, object]) -> None:
    async with producing({"bootstrap_servers": bootstrap}) as producer:
        await producer.send_and_wait(topic, json.dumps(value).encode(), key=key.encode())


def event(customer: str, sequence: int) -> dict[str, object]:
    return {"type": "CustomerCreatedEvent", "subject": customer, "sequence": str(sequence), "data": {}}


def order(customer: str, order_id: str) -> str:
    return json.dumps({"customerId": customer, "orderId": order_id, "totalAmount": {"amount": "1.00"}})


def command(customer: str, command_id: str) -> str:
    return json.dumps({"customerId": customer, "commandId": command_id, "commandType": "ChangeStatus"})


def test_checking_the_topics_again_finds_all_of_them(environment):
    checked = run(environment, "topics", "--check", "--json")
    report = json.loads(checked.stdout)
    assert checked.returncode == 0
    assert (report["created"], report["missing"], report["warnings"]) == ([], [], [])
    assert "console.customer.events" in report["existing"]


def test_a_missing_topic_fails_the_check_and_is_not_created(environment):
    elsewhere = environment | {"CUSTOMER_CONTEXT_TOPIC_PREFIX": "nowhere."}
    for _ in range(2):
        checked = run(elsewhere, "topics", "--check", "--json")
        assert checked.returncode == 1
        assert "nowhere.customer.events" in json.loads(checked.stdout)["missing"]


def test_another_partition_count_is_one_sentence_and_a_failure(environment):
    checked = run(environment | {"CUSTOMER_CONTEXT_PARTITIONS": "5"}, "topics", "--check")
    assert checked.returncode == 1
    assert "console.customer.events has 3 and needs 5" in checked.stderr
    assert "Traceback" not in checked.stderr


def test_good_lines_are_sent_and_a_bad_one_is_told_by_its_number(environment, tmp_path):
    file = tmp_path / "lines.jsonl"
    file.write_text("\n".join([order("c1", "o1"), "", "ada@example.com", order("c2", "o2")]))
    sent = run(environment, "send", str(file))
    assert sent.returncode == 1
    assert "line 3: not JSON" in sent.stderr
    assert "Sent 2: 2 to console.order.completed" in sent.stderr
    assert "ada@example.com" not in sent.stderr


def test_sending_from_standard_input_exits_0_when_all_went_well(environment):
    sent = run(environment, "send", stdin=order("c1", "o3") + "\n")
    assert (sent.returncode, sent.stdout) == (0, "")


@pytest.mark.parametrize(("outcome", "code"), [("APPLIED", 0), ("REJECTED", 1)])
def test_waiting_prints_each_result_and_fails_when_one_was_rejected(environment, kafka, outcome, code):
    command_id = f"k-{outcome}"
    result = {"commandId": command_id, "customerId": "c1", "outcome": outcome, "version": 2}
    with subprocess.Popen(
        [*PROGRAM, "send", "--wait"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as sending:
        assert sending.stdin is not None
        assert sending.stdout is not None
        sending.stdin.write(command("c1", command_id))
        sending.stdin.close()
        asyncio.run(_answer_once_sent(kafka, command_id, result))
        printed = sending.stdout.read()
        assert sending.wait(30) == code
    assert [json.loads(line) for line in printed.splitlines()] == [result]


async def _answer_once_sent(kafka: str, command_id: str, result: dict[str, object]) -> None:
    client = {"bootstrap_servers": kafka}
    async with reading(client, [TOPICS.commands.name], range(3), from_beginning=True) as reader:
        async for records in reader.follow():
            if any(json.loads(record.value)["commandId"] == command_id for record in records):
                break
    await put(kafka, TOPICS.results.name, "c1", result)


def test_a_command_that_nobody_answers_fails_after_the_timeout(environment):
    sent = run(environment, "send", "--wait", "--timeout", "0.5", stdin=command("c1", "k-silent"))
    assert sent.returncode == 1
    assert "No result of 1 commands" in sent.stderr


def test_events_prints_what_is_kept_and_ends(environment, kafka):
    for customer, sequence in (("e1", 1), ("e1", 2), ("e2", 1)):
        asyncio.run(put(kafka, TOPICS.events.name, customer, event(customer, sequence)))
    everything = run(environment, "events")
    of_one = run(environment, "events", "--customer", "e1")
    assert everything.returncode == of_one.returncode == 0
    subjects = [json.loads(line)["subject"] for line in everything.stdout.splitlines()]
    assert sorted(each for each in subjects if each in ("e1", "e2")) == ["e1", "e1", "e2"]
    assert [json.loads(line) for line in of_one.stdout.splitlines()] == [event("e1", 1), event("e1", 2)]


@pytest.fixture
def follower(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    arguments = ["events", "--follow", "--from-beginning", "--customer", "f1"]
    with subprocess.Popen(
        [*PROGRAM, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_following_prints_new_events_until_it_is_interrupted(follower, kafka):
    asyncio.run(put(kafka, TOPICS.events.name, "f1", event("f1", 1)))
    assert json.loads(follower.stdout.readline()) == event("f1", 1)
    asyncio.run(put(kafka, TOPICS.events.name, "f1", event("f1", 2)))
    assert json.loads(follower.stdout.readline()) == event("f1", 2)
    follower.send_signal(signal.SIGINT)
    assert follower.wait(10) == 0


def test_events_of_topics_that_do_not_exist_are_one_sentence(environment):
    printed = run(environment | {"CUSTOMER_CONTEXT_TOPIC_PREFIX": "nowhere."}, "events")
    assert (printed.returncode, printed.stdout) == (1, "")
    assert "There is no topic nowhere.customer.events" in printed.stderr


def test_without_any_kafka_the_console_says_how_to_start_one(environment, tmp_path):
    alone = environment | {
        "CUSTOMER_CONTEXT_BOOTSTRAP_SERVERS": "",
        "CUSTOMER_CONTEXT_DATA_DIR": str(tmp_path),
    }
    printed = run(alone, "events")
    assert printed.returncode == 1
    assert "No embedded Kafka runs on" in printed.stderr


def test_a_wrong_setting_is_exit_code_2_and_one_sentence(environment):
    printed = run(environment | {"CUSTOMER_CONTEXT_PARTITIONS": "many"}, "topics")
    assert printed.returncode == 2
    assert "CUSTOMER_CONTEXT_PARTITIONS: input should be a valid integer" in printed.stderr
    assert "Traceback" not in printed.stderr


def test_settings_come_from_the_env_file_too(environment, tmp_path):
    file = tmp_path / "other.env"
    file.write_text("CUSTOMER_CONTEXT_STORE=paper\n")
    printed = run(environment, "--env-file", str(file), "topics")
    assert printed.returncode == 2
    assert "CUSTOMER_CONTEXT_STORE" in printed.stderr


def test_an_unknown_option_is_exit_code_2(environment):
    assert run(environment, "events", "--backwards").returncode == 2


def test_the_broker_prints_its_address_is_found_by_others_and_stops_when_told(environment, tmp_path):
    alone = environment | {
        "CUSTOMER_CONTEXT_BOOTSTRAP_SERVERS": "",
        "CUSTOMER_CONTEXT_DATA_DIR": str(tmp_path),
    }
    with subprocess.Popen([*PROGRAM, "broker"], env=alone, stdout=subprocess.PIPE, text=True) as broker:
        assert broker.stdout is not None
        host, port = broker.stdout.readline().split(":")
        created = run(alone, "topics", "--json")
        broker.send_signal(signal.SIGTERM)
        assert broker.wait(20) == 0
    assert (host, int(port) > 0) == ("127.0.0.1", True)
    assert created.returncode == 0
    assert "console.customer.events" in json.loads(created.stdout)["created"]
    assert Path(tmp_path, "kafka").is_dir()


def test_lines_of_one_customer_reach_the_topic_in_their_order(environment, kafka):
    lines = [order("in-order", f"o{number}") for number in range(3_000)]
    assert run(environment, "send", stdin="\n".join(lines)).returncode == 0
    found = asyncio.run(_kept(kafka, TOPICS.orders.name, b"in-order"))
    assert [json.loads(value) for value in found] == [json.loads(line) for line in lines]


async def _kept(kafka: str, topic: str, key: bytes) -> list[bytes]:
    async with reading({"bootstrap_servers": kafka}, [topic], range(3), from_beginning=True) as reader:
        return [
            record.value or b""
            async for records in reader.to_the_end()
            for record in records
            if record.key == key
        ]


def test_ctrl_c_ends_a_send_that_waits_for_its_input(environment):
    with subprocess.Popen(
        [*PROGRAM, "send"], env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as sending:
        assert sending.stdin is not None
        assert sending.stderr is not None
        sending.stdin.write("no json\n")
        sending.stdin.flush()
        assert sending.stderr.readline() == "line 1: not JSON\n"
        sending.send_signal(signal.SIGINT)
        assert sending.wait(10) == 130
        assert "Traceback" not in sending.stderr.read()


def test_a_reader_that_has_seen_enough_ends_events_quietly(environment):
    with subprocess.Popen(
        [*PROGRAM, "events", "--follow", "--from-beginning"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as printing:
        assert printing.stdout is not None
        assert printing.stderr is not None
        assert run(environment, "topics", "--check").returncode == 0
        printing.stdout.close()
        asyncio.run(
            put(environment["CUSTOMER_CONTEXT_BOOTSTRAP_SERVERS"], TOPICS.events.name, "p1", event("p1", 1))
        )
        assert printing.wait(20) == 141  # as a shell reports what SIGPIPE ended
        assert printing.stderr.read() == ""
