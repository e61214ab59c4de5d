"""Containers and manifests, as far as they can be checked without an engine: schemas, references, and the worker's settings."""

import re
import shlex
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from compose_spec import PyCompose

from worker.settings import PREFIX, Settings
from worker.wire.limits import MAX_RECORD_BYTES

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "Dockerfile"
MANIFESTS = ROOT / "deploy" / "kubernetes"
KUBERNETES = "1.34"
STOPS_WITHIN_S = 8
SECRET = "s" * 32


def compose() -> dict[str, Any]:
    text = re.sub(r"\$\{CUSTOMER_CONTEXT_AUTH_JWT_SECRET[^}]*\}", SECRET, COMPOSE.read_text())
    return dict(yaml.safe_load(text))


def manifests() -> list[dict[str, Any]]:
    kustomization = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())
    files = [MANIFESTS / name for name in kustomization["resources"]]
    return [document for file in files for document in yaml.safe_load_all(file.read_text())]


def manifest(kind: str, name: str = "customer-context") -> dict[str, Any]:
    (found,) = (each for each in manifests() if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


def worker_container() -> dict[str, Any]:
    (container,) = manifest("StatefulSet")["spec"]["template"]["spec"]["containers"]
    return dict(container)


def settings_of(environment: dict[str, Any], monkeypatch: pytest.MonkeyPatch, ca: Path) -> Settings:
    """What a worker with this environment runs with; a CA file that exists takes the place of the mounted one."""
    for name, value in environment.items():
        if name.startswith(PREFIX):
            monkeypatch.setenv(name, str(ca) if name.endswith("CAFILE") else str(value))
    return Settings()


# -- Compose


def test_the_compose_file_keeps_the_compose_specification():
    services = PyCompose.from_yaml(yaml.safe_dump(compose())).service_names()
    assert set(services) == {"kafka", "redis", "worker-1", "worker-2", "prometheus", "grafana"}


def test_the_check_itself_refuses_a_wrong_compose_file():
    wrong = compose()
    wrong["services"]["redis"]["restart"] = "sometimes"
    with pytest.raises(ValueError, match="restart"):
        PyCompose.from_yaml(yaml.safe_dump(wrong))


@pytest.mark.parametrize("name", ["worker-1", "worker-2"])
def test_each_worker_starts_with_what_the_compose_file_sets(name, monkeypatch, tmp_path):
    environment = compose()["services"][name]["environment"]
    unknown = {key for key in environment if key.removeprefix(PREFIX).lower() not in Settings.model_fields}
    settings = settings_of(environment, monkeypatch, tmp_path)
    assert unknown == set()
    assert settings.advertised_url == f"http://{name}:{settings.web_port}"
    assert all(settings.peers().base_of(f"http://worker-{number}:6066") for number in (1, 2))
    assert settings.authenticated


def test_a_worker_without_the_secret_is_not_started():
    assert "${CUSTOMER_CONTEXT_AUTH_JWT_SECRET:?" in COMPOSE.read_text()


def test_every_service_starts_again_and_is_asked_for_its_health():
    services = compose()["services"]
    assert {each["restart"] for each in services.values()} == {"unless-stopped"}
    asked = {name for name, each in services.items() if "healthcheck" in each}
    assert asked | {"worker-1", "worker-2"} == set(services)
    assert "HEALTHCHECK" in DOCKERFILE.read_text()


def test_every_volume_and_every_file_that_is_mounted_exists():
    document = compose()
    mounts = [mount for each in document["services"].values() for mount in each.get("volumes", ())]
    sources = {mount.partition(":")[0] for mount in mounts}
    files = {source for source in sources if source.startswith(".")}
    assert sources - files == set(document["volumes"])
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_workers_have_longer_to_stop_than_they_take():
    (worker,) = {
        each["stop_grace_period"] for name, each in compose()["services"].items() if "worker" in name
    }
    assert int(worker.removesuffix("s")) > STOPS_WITHIN_S


def test_kafka_in_containers_takes_records_as_large_as_the_topics_do():
    environment = compose()["services"]["kafka"]["environment"]
    assert int(environment["KAFKA_MESSAGE_MAX_BYTES"]) > MAX_RECORD_BYTES


def test_prometheus_scrapes_each_worker_of_the_compose_file():
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    targets = {target for job in scraped for each in job["static_configs"] for target in each["targets"]}
    workers = {name for name in compose()["services"] if name.startswith("worker")}
    assert targets == {f"{name}:6066" for name in workers}


# -- The image


def test_every_way_to_scrape_calls_the_job_what_the_alerts_expect():
    monitor = yaml.safe_load((MANIFESTS / "podmonitor.yaml").read_text())
    pods = manifest("StatefulSet")["spec"]["template"]
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/kubernetes.yml").read_text())["scrape_configs"]
    assert pods["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "customer-context"
    assert [each["job_name"] for each in scraped] == ["customer-context"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in worker_container()["ports"]}
    selected = monitor["spec"]["selector"]["matchLabels"]
    assert selected.items() <= pods["metadata"]["labels"].items()


def test_the_image_copies_what_exists_and_what_the_build_may_see():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    steps = [shlex.split(line) for line in DOCKERFILE.read_text().splitlines() if line.startswith("COPY ")]
    sources = {word for step in steps if not step[1].startswith("--") for word in step[1:-1]}
    assert sources == allowed
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_the_image_runs_the_worker_as_an_ordinary_user():
    lines = DOCKERFILE.read_text().splitlines()
    assert "USER customer-context" in lines
    assert lines[-2:] == ['ENTRYPOINT ["customer-context"]', 'CMD ["worker"]']


# -- Kubernetes


@pytest.mark.parametrize(
    "document", manifests(), ids=lambda each: f"{each['kind']} {each['metadata']['name']}"
)
def test_each_manifest_keeps_the_schema_of_kubernetes(document):
    kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_the_check_itself_refuses_an_unknown_field():
    wrong = manifest("StatefulSet")
    wrong["spec"]["replica"] = 3
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_a_pod_starts_with_settings_that_the_worker_takes(monkeypatch, tmp_path):
    data = manifest("ConfigMap")["data"]
    own = {each["name"]: each.get("value", SECRET) for each in worker_container()["env"]}
    ca = tmp_path / "ca.crt"
    ca.write_text("")
    environment = {**data, **own}
    unknown = {
        name
        for name in environment
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).lower() not in Settings.model_fields
    }
    advertised = f"{PREFIX}ADVERTISED_URL"
    environment[advertised] = (
        own[advertised].replace("$(POD_NAME)", "customer-context-0").replace("$(POD_NAMESPACE)", "crm")
    )
    settings = settings_of(environment, monkeypatch, ca)
    assert unknown == set()
    assert settings.advertised_url == "http://customer-context-0.customer-context-workers.crm.svc:6066"
    assert settings.peers().base_of("http://customer-context-7.customer-context-workers.crm.svc:6066")
    assert not settings.peers().base_of("http://other-0.workers.foreign.svc:6066")
    assert (settings.authenticated, settings.kafka_security_protocol) == (True, "SASL_SSL")


def test_there_are_not_more_pods_than_partitions():
    partitions = int(manifest("ConfigMap")["data"][f"{PREFIX}PARTITIONS"])
    assert manifest("StatefulSet")["spec"]["replicas"] <= partitions


def test_no_secret_is_in_the_manifests():
    assert [each for each in manifests() if each["kind"] == "Secret"] == []
    for each in worker_container()["env"]:
        if "PASSWORD" in each["name"] or "SECRET" in each["name"]:
            assert "secretKeyRef" in each["valueFrom"]


def test_selectors_services_ports_and_volumes_fit_each_other():
    pods = manifest("StatefulSet")["spec"]
    labels = pods["template"]["metadata"]["labels"]
    services = [each for each in manifests() if each["kind"] == "Service"]
    assert pods["selector"]["matchLabels"] == labels
    assert [each["spec"]["selector"] for each in services] == [labels, labels]
    assert manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    headless = manifest("Service", pods["serviceName"])["spec"]
    assert (headless["clusterIP"], headless["publishNotReadyAddresses"]) == ("None", True)
    container = worker_container()
    (port,) = container["ports"]
    assert str(port["containerPort"]) == manifest("ConfigMap")["data"][f"{PREFIX}WEB_PORT"]
    volumes = {each["name"] for each in pods["template"]["spec"]["volumes"]}
    volumes |= {each["metadata"]["name"] for each in pods["volumeClaimTemplates"]}
    assert {each["name"] for each in container["volumeMounts"]} == volumes
    data = manifest("ConfigMap")["data"]
    assert data[f"{PREFIX}DATA_DIR"] in {each["mountPath"] for each in container["volumeMounts"]}


def test_pods_have_probes_and_longer_to_stop_than_they_take():
    container = worker_container()
    probes = {
        name: container[name]["httpGet"]["path"]
        for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert probes == {
        "startupProbe": "/health/live",
        "livenessProbe": "/health/live",
        "readinessProbe": "/health/ready",
    }
    spec = manifest("StatefulSet")["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] > STOPS_WITHIN_S
