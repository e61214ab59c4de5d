"""Group offsets are for lag tools: they follow the committed positions, and nothing of ours reads them."""

from confluent_kafka import Consumer, TopicPartition

from tests.integration.installation import PARTITIONS, Installation, registration


def test_lag_tools_see_the_committed_positions_as_group_offsets(installation: Installation):
    installation.send([registration(f"customer-{number}") for number in range(20)])
    installation.start_workers("worker")
    tool = Consumer({"bootstrap.servers": installation.bootstrap, "group.id": installation.app_id})
    commands = [
        TopicPartition(installation.topic("customer.commands"), number) for number in range(PARTITIONS)
    ]

    def committed() -> int:
        return sum(max(each.offset, 0) for each in tool.committed(commands, timeout=10))

    installation.wait_until(lambda: committed() == 20)
    tool.close()
    assert len(installation.results()) == 20
