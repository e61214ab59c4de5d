"""The embedded Kafka with an authorizer and three listeners more, each with TLS.

SECURE: SASL (PLAIN, SCRAM); MISNAMED: the same, with a certificate for another host; MUTUAL: client certificates.
The plaintext listener stays, for the tests alone: whoever comes through it is a super user.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it re-exports
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.security.certificates import Authority
from worker.broker.ports import HOST, free_port
from worker.kafka.acls import Acl, Resource

PASSWORDS = {"plain-user": "plain-password-1", "scram-user": "scram-password-1"}
_WITHIN_S = 20.0
_LISTENERS = ("SECURE", "MISNAMED", "MUTUAL")
_RESOURCES = {
    Resource.TOPIC: ResourceType.TOPIC,
    Resource.GROUP: ResourceType.GROUP,
    Resource.TRANSACTIONAL_ID: ResourceType.TRANSACTIONAL_ID,
}
_OPERATIONS = {
    "Describe": AclOperation.DESCRIBE,
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}


@dataclass(frozen=True)
class Secured:
    """Where the broker's listeners are, and the files that its clients need."""

    plaintext: str
    secure: str
    misnamed: str
    mutual: str
    ca: Path
    stranger_ca: Path
    client: Path

    def client_settings(self, user: str, mechanism: str) -> dict[str, str]:
        """The worker's settings, by contract name, that log this user in at SECURE."""
        return {
            "BOOTSTRAP_SERVERS": self.secure,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": mechanism,
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": PASSWORDS[user],
            "KAFKA_SSL_CAFILE": str(self.ca),
        }

    def librdkafka(self, user: str, mechanism: str) -> dict[str, Any]:
        """The same for the other client library."""
        return {
            "bootstrap.servers": self.secure,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": mechanism,
            "sasl.username": user,
            "sasl.password": PASSWORDS[user],
            "ssl.ca.location": str(self.ca),
        }

    def allow(self, user: str, acls: Iterable[Acl]) -> None:
        """Grant these to a user."""
        admin = AdminClient({"bootstrap.servers": self.plaintext})
        bindings = [
            AclBinding(
                _RESOURCES[acl.resource],
                acl.name,
                ResourcePatternType.LITERAL,
                f"User:{user}",
                "*",
                _OPERATIONS[operation],
                AclPermissionType.ALLOW,
            )
            for acl in acls
            for operation in acl.operations
        ]
        for granted in admin.create_acls(bindings).values():
            granted.result(_WITHIN_S)


def listeners() -> dict[str, int]:
    """A free port for every listener."""
    return {name: free_port() for name in ("CLIENT", "INTERNAL", "CONTROLLER", *_LISTENERS)}


def properties(ports: dict[str, int], folder: Path) -> tuple[dict[str, str], Authority, Path]:
    """What to add to server.properties; the authority that signed; a client's certificate with its key."""
    ours = Authority(folder, "authority")
    _, good = ours.issue("broker", ("localhost", HOST))
    _, wrong = ours.issue("elsewhere", ("kafka.elsewhere.example",))
    _, client = ours.issue("client")
    protocols = {"SECURE": "SASL_SSL", "MISNAMED": "SASL_SSL", "MUTUAL": "SSL"}
    every = {name: f"{name}://{HOST}:{port}" for name, port in ports.items()}
    protocol_map = {name: protocols.get(name, "PLAINTEXT") for name in ports}
    settings = {
        "listeners": ",".join(every.values()),
        "advertised.listeners": ",".join(every[name] for name in ports if name != "CONTROLLER"),
        "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in protocol_map.items()),
        "controller.quorum.voters": f"1@{HOST}:{ports['CONTROLLER']}",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "allow.everyone.if.no.acl.found": "false",
    }
    for name, store in {"SECURE": good, "MISNAMED": wrong, "MUTUAL": good}.items():
        prefix = f"listener.name.{name.lower()}"
        settings |= {
            f"{prefix}.ssl.keystore.type": "PEM",
            f"{prefix}.ssl.keystore.location": str(store),
            f"{prefix}.ssl.truststore.type": "PEM",
            f"{prefix}.ssl.truststore.location": str(ours.path),
        }
    settings["listener.name.mutual.ssl.client.auth"] = "required"
    security = "org.apache.kafka.common.security"
    plain = f'user_plain-user="{PASSWORDS["plain-user"]}"'
    for name in ("secure", "misnamed"):
        settings |= {
            f"listener.name.{name}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            f"listener.name.{name}.plain.sasl.jaas.config": f"{security}.plain.PlainLoginModule required {plain};",
        }
        for mechanism in ("scram-sha-256", "scram-sha-512"):
            key = f"listener.name.{name}.{mechanism}.sasl.jaas.config"
            settings[key] = f"{security}.scram.ScramLoginModule required;"
    return settings, ours, client


def add_scram_user(bootstrap: str, user: str) -> None:
    """Let this user log in with either SCRAM mechanism."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    password = PASSWORDS[user].encode()
    both = (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
    for mechanism in both:
        wanted = UserScramCredentialUpsertion(user, ScramCredentialInfo(mechanism, 4096), password)
        for altered in admin.alter_user_scram_credentials([wanted]).values():
            altered.result(_WITHIN_S)
