"""A real Kafka that lets in who has a password and TLS, and lets each do only what its ACLs say."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from ops.embedded_kafka import EmbeddedKafka
from ops.kafka_jars import kafka_libraries
from ops.machine import free_port
from ops.supervisor import Supervisor
from schemas import access
from schemas.settings import Settings
from tests.servers import START_SECONDS, wait_until

ADMIN, MECHANISM = "admin", "SCRAM-SHA-512"
USERS = (ADMIN, *(f"retrace-{role}" for role in access.ROLES))


def password(user: str) -> str:
    return f"secret-of-{user}"


class SecuredKafka(EmbeddedKafka):
    """SASL_SSL for clients, SCRAM users made while formatting, and the authorizer of KRaft."""

    def properties(self, data: Path) -> str:
        plain = super().properties(data).replace("BROKER:PLAINTEXT", "BROKER:SASL_SSL")
        login = "org.apache.kafka.common.security.scram.ScramLoginModule"
        added = {
            "sasl.enabled.mechanisms": MECHANISM,
            "sasl.mechanism.inter.broker.protocol": MECHANISM,
            f"listener.name.broker.{MECHANISM.lower()}.sasl.jaas.config": f"{login} required "
            f'username="{ADMIN}" password="{password(ADMIN)}";',
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{ADMIN};User:ANONYMOUS",  # the controller's own listener
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.directory / "broker.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.directory / "ca.pem",
        }
        return plain + "".join(f"{name}={value}\n" for name, value in added.items())

    def formatted_with(self) -> tuple[str, ...]:
        return tuple(
            part
            for user in USERS
            for part in ("--add-scram", f"{MECHANISM}=[name={user},password={password(user)}]")
        )

    def client(self) -> dict[str, Any]:
        return super().client() | {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": MECHANISM,
            "sasl.username": ADMIN,
            "sasl.password": password(ADMIN),
            "ssl.ca.location": str(self.directory / "ca.pem"),
        }


@contextmanager
def secured_kafka() -> Iterator[SecuredKafka]:
    with tempfile.TemporaryDirectory(prefix="retrace-sec-") as name, Supervisor() as children:
        folder = Path(name)
        authority(folder, "ca")
        authority(folder, "other")
        _certificate(folder)
        server = SecuredKafka(folder, free_port(), libraries=kafka_libraries(print))
        server.prepare()
        children.start(server.process())
        wait_until(server.ready, START_SECONDS)
        yield server


def as_user(settings: Settings, server: SecuredKafka, user: str, **more: Any) -> Settings:
    """These settings with a user of this broker."""
    security = {
        "kafka_bootstrap": server.bootstrap,
        "kafka_security_protocol": "SASL_SSL",
        "kafka_sasl_mechanism": MECHANISM,
        "kafka_sasl_username": user,
        "kafka_sasl_password": SecretStr(password(user)),
        "kafka_ssl_ca": str(server.directory / "ca.pem"),
    }
    return settings.model_copy(update={**security, **more})


def authority(folder: Path, name: str) -> None:
    """A certificate authority that nobody else knows."""
    _openssl(folder, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")


def _certificate(folder: Path) -> None:
    _openssl(
        folder, "-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "broker.key", "-out", "broker.crt",
        "-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1",
    )  # fmt: skip
    both = (folder / "broker.key").read_text() + (folder / "broker.crt").read_text()
    (folder / "broker.pem").write_text(both)


def _openssl(folder: Path, *arguments: str) -> None:
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *arguments]
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)
