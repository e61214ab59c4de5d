"""Settings of one worker: environment variables with the prefix CUSTOMER_CONTEXT_, or a file (contract, section 7).

Rules:
- Every setting is checked before anything starts (worker.setting_values). All faults are reported at once, one per line.
- A value is never part of a message, because it could be a secret. Secrets are SecretStr.
- An empty variable counts as unset.
- Without authentication the HTTP API only binds a loopback address.
"""

import ssl
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from yarl import URL

from worker import peers
from worker.addresses import is_loopback, is_wildcard
from worker.kafka.compression import Compression
from worker.kafka.topics import Catalogue
from worker.native import Choice
from worker.setting_values import (
    HIGHEST_PORT,
    BaseUrl,
    KafkaName,
    PeerUrls,
    Port,
    Processes,
    ReadableFile,
    RedisUrl,
    RepositoryUrl,
    Servers,
    SigningSecret,
    Switch,
    TypeAliases,
)
from worker.wire.type_aliases import read_aliases

PREFIX = "CUSTOMER_CONTEXT_"

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


class ConfigurationError(ValueError):
    """The settings cannot be used. The text has one line per fault and no value."""


class Settings(BaseSettings):
    """Every setting by its contract name in lower case.

    The console makes it with load_settings; tests pass fields by name. An unset field is None, or the empty string if
    the contract's default is empty. The text below a field is its row in docs/settings.md.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    bootstrap_servers: Servers = ""
    """Addresses of Kafka, host:port, separated by commas. Empty: the embedded Kafka."""
    app_id: Annotated[KafkaName, Field(min_length=1)] = "customer-context"
    """Consumer group, and prefix of changelogs and transactional ids. One installation, one APP_ID."""
    topic_prefix: KafkaName = ""
    """Prefix of each topic name. No separator is added."""
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 8
    """Partitions of every topic but the dead letters. Cannot be changed later."""
    processes: Processes = 1
    """Processes of this worker, which share WEB_PORT. auto: one for each core, at most PARTITIONS."""
    replication_factor: Annotated[int, Field(ge=1, le=100)] | None = None
    """Replicas of topics that the worker creates. Unset: 3, or the number of known brokers if fewer."""
    retention_days: Annotated[int, Field(ge=1, le=36_500)] = 30
    """Days for which topics keep their records, unless they are compacted."""
    data_dir: Path = Path(".data")
    """Folder of the local tables and of the embedded Kafka's data."""
    store: Literal["rocksdb", "memory"] = "rocksdb"
    """Local tables in RocksDB or in memory."""
    kafka_mirror: RepositoryUrl | None = None
    """URL of a Maven repository that has the embedded Kafka's jars. Unset: Maven Central."""
    start_patience_s: Annotated[int, Field(ge=0, le=86_400)] = 300
    """Seconds that a starting worker waits for a Kafka that does not answer."""
    standby_replicas: Annotated[int, Field(ge=0, le=100)] = 1
    """Copies of each partition's tables on other workers, for quick takeovers."""

    web_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address that HTTP binds to. It must be a loopback address while no authentication is set."""
    web_port: Port = 6066
    """Port of HTTP. 0: any free port, which the worker prints."""
    web_ssl_certfile: ReadableFile | None = None
    """PEM file with the certificate. Unset: HTTP without TLS."""
    web_ssl_keyfile: ReadableFile | None = None
    """PEM file with the certificate's private key."""
    advertised_url: BaseUrl | None = None
    """URL where other workers reach this one. Unset: http://WEB_HOST:WEB_PORT. A wildcard host needs it."""
    contact_email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s.]+$")] = (
        "customer-context@localhost.localdomain"
    )
    """Email of those who run the installation. The documents of the interfaces name it."""
    peer_urls: PeerUrls = ""
    """Patterns of URLs that other workers may have. Empty: hosts like that of ADVERTISED_URL."""
    peer_ssl_cafile: ReadableFile | None = None
    """PEM file of the CAs that sign other workers' certificates. Unset: the system's CAs."""
    redis_url: RedisUrl | None = None
    """Redis for a shared read copy while a partition's owner is away. Empty: none."""
    rules_file: ReadableFile | None = None
    """TOML file with the rules. Unset: version 1 with the contract's figures."""
    ce_type_header: Switch = True
    """Whether published events have the header `ce_type` beside `event-type`. Some SDKs take it for binary mode."""
    native: Choice = Choice.AUTO
    """Codecs in C. auto: where they were built. require: no start without them. off: none."""
    compression: Literal["none", Compression] = "none"
    """Of the record batches that the worker sends. snappy takes little CPU time, zstd makes them smaller."""
    payment_join: Switch = False
    """On: payments without customerId find their customer through their order. Off: they are INVALID."""
    type_aliases: TypeAliases = ""
    """CloudEvents types that senders use for the contract's: ALIAS=Type, separated by commas."""
    desk: Switch = True
    """On: pages for support staff and operators under /desk. Off: no pages but /docs."""
    metrics_port: Port | None = None
    """Port for /metrics alone. Unset: /metrics is on WEB_PORT."""

    kafka_request_timeout_s: Annotated[int, Field(ge=7, le=300)] = 10
    """Seconds after which a request to Kafka is given up and repeated."""
    batch_deadline_s: Annotated[int, Field(ge=15, le=600)] = 45
    """Seconds after which a batch without an end stops the process. More than KAFKA_REQUEST_TIMEOUT_S."""
    transaction_timeout_s: Annotated[int, Field(ge=20, le=900)] = 60
    """Seconds after which brokers abort an open transaction. More than BATCH_DEADLINE_S."""

    kafka_security_protocol: SecurityProtocol = "PLAINTEXT"
    """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL. TLS always checks the host name."""
    kafka_sasl_mechanism: SaslMechanism = "PLAIN"
    """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."""
    kafka_sasl_username: str = ""
    """User name for SASL."""
    kafka_sasl_password: SecretStr | None = None
    """Password for SASL."""
    kafka_ssl_cafile: ReadableFile | None = None
    """PEM file of the CAs that sign the brokers' certificates. Unset: the system's CAs."""
    kafka_ssl_certfile: ReadableFile | None = None
    """PEM file with the client's certificate."""
    kafka_ssl_keyfile: ReadableFile | None = None
    """PEM file with the client's private key."""

    auth_jwt_secret: SigningSecret | None = None
    """Secret of at least 32 bytes that signs tokens. Neither this nor AUTH_JWKS_FILE: HTTP is open."""
    auth_jwks_file: ReadableFile | None = None
    """JSON Web Key Set with the public keys that sign tokens. Read again when it changes."""
    auth_audience: str = ""
    """Audience that a token must name."""
    auth_issuer: str = ""
    """Issuer that a token must name."""

    log_format: LogFormat | None = None
    """console or json. Unset: console on a terminal, else json."""
    log_level: LogLevel = "info"
    """debug, info, warning or error."""

    @property
    def embedded(self) -> bool:
        """Whether the worker uses the embedded Kafka."""
        return not self.bootstrap_servers

    @property
    def kafka_dir(self) -> Path:
        """The data folder of the embedded Kafka."""
        return self.data_dir / "kafka"

    @property
    def stores_dir(self) -> Path | None:
        """The folder of the local tables; None when they are kept in memory."""
        return self.data_dir / "store" if self.store == "rocksdb" else None

    @property
    def authenticated(self) -> bool:
        """Whether HTTP requires a token."""
        return self.auth_jwt_secret is not None or self.auth_jwks_file is not None

    def public_url(self, port: int) -> str:
        """The URL where others reach this worker, without a final slash. port: the port that was really bound."""
        if self.advertised_url is not None:
            return self.advertised_url
        host = f"[{self.web_host}]" if ":" in self.web_host else self.web_host
        return f"{'http' if self.web_ssl_certfile is None else 'https'}://{host}:{port}"

    def own_port(self, process: int | None) -> int:
        """The port where others reach one process alone; 0 for any free one. process: its number; None: the only one."""
        return self.web_port if process is None or self.web_port == 0 else self.web_port + 1 + process

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports that all processes together bind for HTTP, the shared one first; 0 for any free one."""
        own = range(self.processes if self.processes > 1 and self.web_port else 0)
        return (self.web_port, *map(self.own_port, own))

    def own_url(self, process: int | None, port: int) -> str:
        """The URL where others reach one process alone, without a final slash.

        Args:
            process: its number; None if it is the only one.
            port: the port that it really binds.
        """
        if process is None or self.advertised_url is None:
            return self.public_url(port)
        shared = URL(self.advertised_url)
        return str(shared.with_port((shared.port or 0) + 1 + process)).rstrip("/")

    def peers(self) -> peers.Peers:
        """The URLs that other workers may have."""
        return peers.Peers(self.public_url(self.web_port), self.peer_urls, self.processes)

    def web_ssl_context(self) -> ssl.SSLContext | None:
        """The TLS context of the HTTP server; None without TLS. Raises ConfigurationError when a file cannot be used."""
        if self.web_ssl_certfile is None:
            return None
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.web_ssl_certfile, self.web_ssl_keyfile)
        except (OSError, ValueError) as error:
            raise _unusable("WEB_SSL_CERTFILE or _KEYFILE", error) from None
        return context

    def peer_ssl_context(self) -> ssl.SSLContext:
        """The TLS context that checks other workers' certificates. Raises ConfigurationError for an unusable file."""
        try:
            return ssl.create_default_context(cafile=self.peer_ssl_cafile)
        except (OSError, ValueError) as error:
            raise _unusable("PEER_SSL_CAFILE", error) from None

    def kafka_client(self, bootstrap: str) -> dict[str, Any]:
        """Keyword arguments for every aiokafka client of the worker. TLS checks the certificate and the host name.

        Args:
            bootstrap: host:port, separated by commas.

        Raises:
            ConfigurationError: a certificate or key file cannot be used.
        """
        client: dict[str, Any] = {
            "bootstrap_servers": bootstrap,
            "security_protocol": self.kafka_security_protocol,
        }
        if "SSL" in self.kafka_security_protocol.split("_"):
            client["ssl_context"] = self._ssl_context()
        if self.kafka_sasl_password is not None:
            client["sasl_mechanism"] = self.kafka_sasl_mechanism
            client["sasl_plain_username"] = self.kafka_sasl_username
            client["sasl_plain_password"] = self.kafka_sasl_password.get_secret_value()
        return client

    def contact(self) -> dict[str, str]:
        """Whom the documents of the interfaces name: name, URL and email."""
        url = f"{self.public_url(self.web_port)}/docs"
        return {"name": f"The team that runs {self.app_id}", "url": url, "email": self.contact_email}

    def catalogue(self) -> Catalogue:
        """The catalogue of topics for these settings."""
        return Catalogue(
            topic_prefix=self.topic_prefix,
            app_id=self.app_id,
            partitions=self.partitions,
            retention_days=self.retention_days,
            payment_join=self.payment_join,
            type_aliases=read_aliases(self.type_aliases),
        )

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.kafka_ssl_cafile)
            if self.kafka_ssl_certfile is not None:
                context.load_cert_chain(self.kafka_ssl_certfile, self.kafka_ssl_keyfile)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise _unusable("KAFKA_SSL_CAFILE, _CERTFILE or _KEYFILE", error) from None
        return context

    @model_validator(mode="after")
    def _check_http(self) -> Self:
        if self.auth_jwt_secret is not None and self.auth_jwks_file is not None:
            raise ValueError(f"set {PREFIX}AUTH_JWT_SECRET or {PREFIX}AUTH_JWKS_FILE, not both")
        if (self.auth_audience or self.auth_issuer) and not self.authenticated:
            raise ValueError(
                f"{PREFIX}AUTH_AUDIENCE and _AUTH_ISSUER need {PREFIX}AUTH_JWT_SECRET or _AUTH_JWKS_FILE"
            )
        if not self.authenticated and not is_loopback(self.web_host):
            raise ValueError(
                f"{PREFIX}WEB_HOST must be a loopback address such as 127.0.0.1 while HTTP is open to everyone; "
                f"set {PREFIX}AUTH_JWT_SECRET or {PREFIX}AUTH_JWKS_FILE to bind another"
            )
        if is_wildcard(self.web_host) and self.advertised_url is None:
            raise ValueError(
                f"{PREFIX}WEB_HOST binds every address, so set {PREFIX}ADVERTISED_URL to the one "
                "where other workers reach this one"
            )
        return self

    @model_validator(mode="after")
    def _check_processes(self) -> Self:
        if self.processes > 1 and self.web_port + self.processes > HIGHEST_PORT:
            raise ValueError(f"{PREFIX}WEB_PORT must leave {PREFIX}PROCESSES ports above it")
        return self

    @model_validator(mode="after")
    def _check_web_tls(self) -> Self:
        if self.web_ssl_keyfile is not None and self.web_ssl_certfile is None:
            raise ValueError(f"{PREFIX}WEB_SSL_KEYFILE needs {PREFIX}WEB_SSL_CERTFILE")
        if self.web_ssl_certfile is not None and (self.advertised_url or "https://").startswith("http:"):
            raise ValueError(f"{PREFIX}ADVERTISED_URL must be https while {PREFIX}WEB_SSL_CERTFILE is set")
        return self

    @model_validator(mode="after")
    def _check_patience(self) -> Self:
        """A request must time out within its batch, and a batch before brokers abort its transaction."""
        if not self.kafka_request_timeout_s < self.batch_deadline_s < self.transaction_timeout_s:
            raise ValueError(
                f"{PREFIX}KAFKA_REQUEST_TIMEOUT_S must be less than {PREFIX}BATCH_DEADLINE_S, "
                f"and that less than {PREFIX}TRANSACTION_TIMEOUT_S"
            )
        return self

    @model_validator(mode="after")
    def _check_kafka(self) -> Self:
        protocol = f"{PREFIX}KAFKA_SECURITY_PROTOCOL"
        with_sasl = self.kafka_security_protocol.startswith("SASL_")
        credentials = bool(self.kafka_sasl_username), self.kafka_sasl_password is not None
        if with_sasl and not all(credentials):
            raise ValueError(f"{protocol} asks for SASL, so set {PREFIX}KAFKA_SASL_USERNAME and _PASSWORD")
        if any(credentials) and not with_sasl:
            raise ValueError(f"{PREFIX}KAFKA_SASL_USERNAME and _PASSWORD need {protocol} to be SASL_SSL")
        if self._tls_files() and "SSL" not in self.kafka_security_protocol.split("_"):
            raise ValueError(f"{PREFIX}KAFKA_SSL_* files need {protocol} to be SSL or SASL_SSL")
        if self.kafka_ssl_keyfile is not None and self.kafka_ssl_certfile is None:
            raise ValueError(f"{PREFIX}KAFKA_SSL_KEYFILE needs {PREFIX}KAFKA_SSL_CERTFILE")
        if self.embedded and self.kafka_security_protocol != "PLAINTEXT":
            raise ValueError(f"{protocol} needs {PREFIX}BOOTSTRAP_SERVERS: the embedded Kafka is plaintext")
        return self

    def _tls_files(self) -> list[Path]:
        files = (self.kafka_ssl_cafile, self.kafka_ssl_certfile, self.kafka_ssl_keyfile)
        return [file for file in files if file is not None]


def _unusable(names: str, error: Exception) -> ConfigurationError:
    return ConfigurationError(f"{PREFIX}{names} cannot be used ({type(error).__name__}).")


def load_settings(env_file: Path | None = None, **given: Any) -> Settings:
    """The settings of this process.

    Args:
        env_file: a file of variables. Variables of the environment override it.
        given: settings by name. They override both.

    Raises:
        ConfigurationError: with every fault, one per line.
    """
    if env_file is not None and not env_file.is_file():
        raise ConfigurationError(f"The file given by --env-file, {env_file}, does not exist.")
    try:
        return Settings(_env_file=env_file, **given)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_fault(details) for details in error.errors())) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"The file given by --env-file, {env_file}, is not UTF-8 text.") from None


def _fault(details: Any) -> str:
    message = str(details["msg"]).removeprefix("Value error, ")
    if not details["loc"]:
        return f"{message}."
    return f"{PREFIX}{str(details['loc'][0]).upper()}: {message[:1].lower()}{message[1:]}."
