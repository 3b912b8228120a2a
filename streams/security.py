"""How a client shows Kafka who it is, and how it knows Kafka: one place for librdkafka and Faust.

Secrets stay in their settings; no message here holds one.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError

from schemas.errors import ConfigurationError
from schemas.settings import PREFIX, Settings

FILES = {
    "ssl.ca.location": "kafka_ssl_ca",
    "ssl.certificate.location": "kafka_ssl_certificate",
    "ssl.key.location": "kafka_ssl_key",
}


def check(settings: Settings) -> None:
    """Raises ``ConfigurationError``, one line, where the settings contradict each other."""
    protocol = settings.kafka_security_protocol
    if protocol.startswith("SASL"):
        for name, given in (
            ("kafka_sasl_username", settings.kafka_sasl_username),
            ("kafka_sasl_password", settings.kafka_sasl_password.get_secret_value()),
        ):
            if not given:
                raise ConfigurationError(f"{_variable(name)} is not set, and {protocol} needs it.")
    elif settings.kafka_sasl_username or settings.kafka_sasl_password.get_secret_value():
        raise ConfigurationError(
            f"A SASL user or password is set, but {_variable('kafka_security_protocol')} is "
            f"{protocol}, which sends neither. Use SASL_SSL."
        )
    for name in FILES.values():
        file = getattr(settings, name)
        if file and not protocol.endswith("SSL"):
            raise ConfigurationError(
                f"{_variable(name)} is set, but {_variable('kafka_security_protocol')} is "
                f"{protocol}, which has no TLS."
            )
        if file and not Path(file).is_file():
            raise ConfigurationError(f"{_variable(name)}: there is no file {file}.")
    if bool(settings.kafka_ssl_certificate) != bool(settings.kafka_ssl_key):
        raise ConfigurationError(
            f"{_variable('kafka_ssl_certificate')} and {_variable('kafka_ssl_key')} are set "
            "together, or neither."
        )


def librdkafka(settings: Settings) -> dict[str, Any]:
    """What confluent-kafka's clients take. Raises ``ConfigurationError``."""
    check(settings)
    protocol = settings.kafka_security_protocol
    config: dict[str, Any] = {"security.protocol": protocol}
    if protocol.startswith("SASL"):
        config["sasl.mechanism"] = settings.kafka_sasl_mechanism
        config["sasl.username"] = settings.kafka_sasl_username
        config["sasl.password"] = settings.kafka_sasl_password.get_secret_value()
    if protocol.endswith("SSL") and not settings.kafka_ssl_check_hostname:
        config["ssl.endpoint.identification.algorithm"] = "none"
    files = {key: getattr(settings, name) for key, name in FILES.items()}
    return config | {key: file for key, file in files.items() if file}


def context(settings: Settings) -> ssl.SSLContext | None:
    """What Faust's clients take; None without TLS. Raises ``ConfigurationError``."""
    check(settings)
    if not settings.kafka_security_protocol.endswith("SSL"):
        return None
    try:
        made = ssl.create_default_context(cafile=settings.kafka_ssl_ca or None)
        made.check_hostname = settings.kafka_ssl_check_hostname
        if settings.kafka_ssl_certificate:
            made.load_cert_chain(settings.kafka_ssl_certificate, settings.kafka_ssl_key)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(f"Kafka's TLS files cannot be read: {error}") from None
    return made


class Refusals:
    """What brokers last said against a client, which a failed call says nothing of.

    librdkafka tells it to the callback for errors only: the call itself times out.
    """

    def __init__(self) -> None:
        self._last = ""

    def hear(self, error: KafkaError) -> None:
        """librdkafka's callback for errors."""
        if error.code() in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):
            self._last = (
                f"Kafka refuses user or password ({_cause(error)}). Look at "
                f"{_variable('kafka_sasl_username')}, {_variable('kafka_sasl_password')} and "
                f"{_variable('kafka_sasl_mechanism')}."
            )
        elif error.code() == KafkaError._SSL:
            self._last = (
                f"TLS with Kafka fails ({_cause(error)}). Look at {_variable('kafka_ssl_ca')} and "
                f"the name in {_variable('kafka_bootstrap')}."
            )

    def take(self) -> str:
        """One line of the newest refusal, once; empty where there was none."""
        said, self._last = self._last, ""
        return said


def _cause(error: KafkaError) -> str:
    """The last of librdkafka's clauses that says something, without addresses and times."""
    words = error.str().split(" (after ")[0]
    return words.rsplit("]: ", 1)[-1].split(": ", 1)[-1].strip() or error.name()


def _variable(name: str) -> str:
    return PREFIX + name.upper()
