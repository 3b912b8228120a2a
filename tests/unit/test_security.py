"""Settings to what clients take; contradictions are one line, and no secret is in any."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from psycopg2 import errors
from sqlalchemy.exc import ProgrammingError

from gateway import away
from schemas.errors import ConfigurationError
from schemas.settings import Settings
from streams import kafka, security

GOOD = {
    "kafka_bootstrap": "kafka:9093", "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_username": "me", "kafka_sasl_password": "hidden",
}  # fmt: skip


def made(**more: Any) -> Settings:
    return Settings(**{**GOOD, **more})


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"kafka_sasl_username": ""}, "RETRACE_KAFKA_SASL_USERNAME is not set, and SASL_SSL"),
        ({"kafka_sasl_password": ""}, "RETRACE_KAFKA_SASL_PASSWORD is not set, and SASL_SSL"),
        ({"kafka_ssl_ca": "/no/such"}, "RETRACE_KAFKA_SSL_CA: there is no file /no/such"),
        ({"kafka_security_protocol": "PLAINTEXT"}, "PLAINTEXT, which sends neither"),
        ({"kafka_security_protocol": "SSL"}, "SSL, which sends neither"),
        ({"kafka_ssl_key": __file__}, "set together"),
        ({"kafka_ssl_certificate": __file__}, "set together"),
        (
            {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_ssl_ca": __file__},
            "RETRACE_KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT, which has no TLS",
        ),
    ],
)
def test_contradictions_are_one_line(wrong: dict[str, Any], told: str) -> None:
    for use in (security.context, kafka.client):
        with pytest.raises(ConfigurationError, match=told) as caught:
            use(made(**wrong))
        assert "hidden" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_what_librdkafka_takes() -> None:
    config = kafka.client(made(kafka_ssl_ca=__file__, kafka_ssl_check_hostname=False))
    begins = ("sasl", "ssl", "security")
    assert {key: value for key, value in config.items() if key.startswith(begins)} == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": "hidden",
        "ssl.ca.location": __file__,
        "ssl.endpoint.identification.algorithm": "none",
    }  # fmt: skip
    plain = kafka.client(Settings(kafka_bootstrap="kafka:9092"))
    assert not any(key.startswith(("sasl", "ssl")) for key in plain)


def test_what_faust_takes(tmp_path: Path) -> None:
    assert security.context(Settings()) is None
    strict = security.context(made())
    assert strict is not None
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    lax = security.context(made(kafka_ssl_check_hostname=False))
    assert lax is not None
    assert (lax.verify_mode, lax.check_hostname) == (ssl.CERT_REQUIRED, False)
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        security.context(made(kafka_ssl_ca=str(broken)))


def test_a_refusal_is_told_once() -> None:
    refusals = security.Refusals()
    refusals.hear(KafkaError(KafkaError._TRANSPORT, "away"))
    assert refusals.take() == ""
    text = "sasl_ssl://kafka:9093/bootstrap: SASL authentication error: wrong (after 3ms in state)"
    refusals.hear(KafkaError(KafkaError._AUTHENTICATION, text))
    assert refusals.take().startswith("Kafka refuses user or password (")
    assert refusals.take() == ""


def test_a_missing_right_is_one_line_for_people() -> None:
    refused = KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    assert "Compare `retrace acls --check`" in (away.words(refused) or "")
    cause = errors.InsufficientPrivilege("permission denied for table audit")
    cause.__setstate__({"pgcode": "42501"})
    denied = ProgrammingError("SELECT", None, cause)
    assert "Compare `retrace roles`" in (away.words(denied) or "")
    other = KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
    assert away.words(other) is None
