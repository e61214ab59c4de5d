"""One scrape of several processes."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from worker.processes.merged_metrics import merged


def registry(events: int, ready: int) -> CollectorRegistry:
    made = CollectorRegistry()
    Counter("events", "Events.", ["type"], registry=made).labels("A").inc(events)
    Gauge("customer_context_ready", "Ready.", registry=made).set(ready)
    Histogram("seconds", "Seconds.", buckets=(1.0,), registry=made).observe(events)
    Info("build", "Build.", registry=made).info({"release": "1"})
    return made


def samples(text: bytes) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_each_sample_names_its_process_and_keeps_its_value():
    other = generate_latest(registry(5, 0)).decode()
    found = samples(merged(1, registry(3, 1).collect(), {0: other}))
    assert found["events_total[('process', '0'), ('type', 'A')]"] == 5
    assert found["events_total[('process', '1'), ('type', 'A')]"] == 3
    assert found["customer_context_ready[('process', '0')]"] == 0
    assert found["customer_context_ready[('process', '1')]"] == 1
    assert found["seconds_bucket[('le', '1.0'), ('process', '0')]"] == 0
    assert found["seconds_sum[('process', '1')]"] == 3
    assert found["build_info[('process', '0'), ('release', '1')]"] == 1
    assert found["build_info[('process', '1'), ('release', '1')]"] == 1
    alone = samples(generate_latest(registry(3, 1)))
    assert len(found) == 2 * len(alone)


def test_each_metric_is_described_once_and_all_its_samples_follow():
    other = generate_latest(registry(5, 0)).decode()
    described = []
    for line in merged(1, registry(3, 1).collect(), {0: other}).decode().splitlines():
        if line.startswith("# TYPE"):
            described.append(line.split()[2])
        elif not line.startswith("#"):
            assert line.startswith(described[-1])
    assert len(described) == len(set(described))


def test_a_process_that_does_not_answer_counts_as_not_ready():
    found = samples(merged(0, registry(3, 1).collect(), {1: None}))
    assert found["customer_context_ready[('process', '0')]"] == 1
    assert found["customer_context_ready[('process', '1')]"] == 0
