"""Settings of one worker: environment variables with the prefix CUSTOMER_CONTEXT_, or a file of them (contract, section 7).

Rules:
- Everything is checked before anything starts, and every fault is told at once, each in one line.
- A value is never part of a message: it could be a secret. Secrets are SecretStr.
- An empty variable counts as one that is not set.
- Without authentication the HTTP API binds a loopback address or nothing.
"""

import ipaddress
import re
import ssl
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from worker.topics import Catalogue

PREFIX = "CUSTOMER_CONTEXT_"
MIN_SECRET_BYTES = 32

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_KAFKA_NAME = re.compile(r"[A-Za-z0-9._-]*")
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:,\[\]/@]+):\d{1,5}")
_SWITCH = {"on": True, "off": False}


class ConfigurationError(ValueError):
    """The settings cannot be used. The text is one line per fault and holds no value."""


def _kafka_name(text: str) -> str:
    if not _KAFKA_NAME.fullmatch(text):
        raise ValueError("use letters, digits, dots, dashes and underscores only")
    return text


def _servers(text: str) -> str:
    servers = [server.strip() for server in text.split(",")] if text.strip() else []
    if not all(_SERVER.fullmatch(server) for server in servers):
        raise ValueError("give host:port, separated by commas")
    return ",".join(servers)


def _switch(value: object) -> object:
    if isinstance(value, str):
        if value.lower() not in _SWITCH:
            raise ValueError("say on or off")
        return _SWITCH[value.lower()]
    return value


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("give a URL such as http://worker-1:6066")
    return text.rstrip("/")


def _redis_url(secret: SecretStr) -> SecretStr:
    if urlsplit(secret.get_secret_value()).scheme not in ("redis", "rediss", "unix"):
        raise ValueError("give a URL such as redis://host:6379/0")
    return secret


def _readable(path: Path) -> Path:
    if not path.is_file():
        raise ValueError("there is no such file")
    return path


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"use at least {MIN_SECRET_BYTES} bytes")
    return secret


Port = Annotated[int, Field(ge=0, le=65_535)]
KafkaName = Annotated[str, Field(max_length=100), AfterValidator(_kafka_name)]
ReadableFile = Annotated[Path, AfterValidator(_readable)]


class Settings(BaseSettings):
    """Every setting by its contract name in lower case.

    Made by load_settings at the console; tests pass fields by name. Unset: None, or the empty string where the
    contract's default is empty.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    bootstrap_servers: Annotated[str, AfterValidator(_servers)] = ""
    app_id: Annotated[KafkaName, Field(min_length=1)] = "customer-context"
    topic_prefix: KafkaName = ""
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 8
    replication_factor: Annotated[int, Field(ge=1, le=100)] | None = None
    retention_days: Annotated[int, Field(ge=1, le=36_500)] = 30
    data_dir: Path = Path(".data")
    store: Literal["rocksdb", "memory"] = "rocksdb"
    standby_replicas: Annotated[int, Field(ge=0, le=100)] = 1

    web_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    web_port: Port = 6066
    advertised_url: Annotated[str, AfterValidator(_base_url)] | None = None
    redis_url: Annotated[SecretStr, AfterValidator(_redis_url)] | None = None
    rules_file: ReadableFile | None = None
    payment_join: Annotated[bool, BeforeValidator(_switch)] = False
    metrics_port: Port | None = None

    kafka_security_protocol: SecurityProtocol = "PLAINTEXT"
    kafka_sasl_mechanism: SaslMechanism = "PLAIN"
    kafka_sasl_username: str = ""
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_cafile: ReadableFile | None = None
    kafka_ssl_certfile: ReadableFile | None = None
    kafka_ssl_keyfile: ReadableFile | None = None

    auth_jwt_secret: Annotated[SecretStr, AfterValidator(_long_enough)] | None = None
    auth_jwks_file: ReadableFile | None = None
    auth_audience: str = ""
    auth_issuer: str = ""

    log_format: LogFormat | None = None
    log_level: LogLevel = "info"

    @property
    def embedded(self) -> bool:
        """Whether the embedded Kafka is to be used."""
        return not self.bootstrap_servers

    @property
    def kafka_dir(self) -> Path:
        """The data folder of the embedded Kafka."""
        return self.data_dir / "kafka"

    @property
    def authenticated(self) -> bool:
        """Whether HTTP asks for a token."""
        return self.auth_jwt_secret is not None or self.auth_jwks_file is not None

    def public_url(self, port: int) -> str:
        """Where others reach this worker, without a slash at the end. port: the one that was really bound."""
        if self.advertised_url is not None:
            return self.advertised_url
        host = f"[{self.web_host}]" if ":" in self.web_host else self.web_host
        return f"http://{host}:{port}"

    def kafka_client(self, bootstrap: str) -> dict[str, Any]:
        """What every aiokafka client of the worker is made with. bootstrap: host:port, separated by commas.

        With TLS the broker's certificate and host name are checked. Raises ConfigurationError when a certificate
        or key file cannot be used.
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

    def catalogue(self) -> Catalogue:
        """The topics as these settings name and shape them."""
        return Catalogue(
            topic_prefix=self.topic_prefix,
            app_id=self.app_id,
            partitions=self.partitions,
            retention_days=self.retention_days,
            payment_join=self.payment_join,
        )

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.kafka_ssl_cafile)
            if self.kafka_ssl_certfile is not None:
                context.load_cert_chain(self.kafka_ssl_certfile, self.kafka_ssl_keyfile)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            names = f"{PREFIX}KAFKA_SSL_CAFILE, _CERTFILE or _KEYFILE"
            raise ConfigurationError(f"{names} cannot be used ({type(error).__name__}).") from None
        return context

    @model_validator(mode="after")
    def _check_http(self) -> Self:
        if self.auth_jwt_secret is not None and self.auth_jwks_file is not None:
            raise ValueError(f"set {PREFIX}AUTH_JWT_SECRET or {PREFIX}AUTH_JWKS_FILE, not both")
        if (self.auth_audience or self.auth_issuer) and not self.authenticated:
            raise ValueError(
                f"{PREFIX}AUTH_AUDIENCE and _AUTH_ISSUER need {PREFIX}AUTH_JWT_SECRET or _AUTH_JWKS_FILE"
            )
        if not self.authenticated and not _is_loopback(self.web_host):
            raise ValueError(
                f"{PREFIX}WEB_HOST must be a loopback address such as 127.0.0.1 while HTTP is open to everyone; "
                f"set {PREFIX}AUTH_JWT_SECRET or {PREFIX}AUTH_JWKS_FILE to bind another"
            )
        if _is_wildcard(self.web_host) and self.advertised_url is None:
            raise ValueError(
                f"{PREFIX}WEB_HOST binds every address, so set {PREFIX}ADVERTISED_URL to the one "
                "where other workers reach this one"
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


def load_settings(env_file: Path | None = None) -> Settings:
    """The settings of this process. env_file: read too; the environment wins over it.

    Raises ConfigurationError, with every fault, one a line.
    """
    if env_file is not None and not env_file.is_file():
        raise ConfigurationError(f"The file given by --env-file, {env_file}, does not exist.")
    try:
        return Settings(_env_file=env_file)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_fault(details) for details in error.errors())) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"The file given by --env-file, {env_file}, is not UTF-8 text.") from None


def _fault(details: Any) -> str:
    message = str(details["msg"]).removeprefix("Value error, ")
    if not details["loc"]:
        return f"{message}."
    return f"{PREFIX}{str(details['loc'][0]).upper()}: {message[:1].lower()}{message[1:]}."


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host.lower() == "localhost" or (address is not None and address.is_loopback)


def _is_wildcard(host: str) -> bool:
    address = _address(host)
    return address is not None and address.is_unspecified


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
