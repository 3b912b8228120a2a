"""Why a consumer group does not let a member in, in words that say what an operator can do."""

from __future__ import annotations

from confluent_kafka import KafkaError

from schemas.settings import PREFIX, Settings

REFUSED = (
    KafkaError.INVALID_SESSION_TIMEOUT,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.GROUP_MAX_SIZE_REACHED,
)


def words(settings: Settings, group: str, error: KafkaError) -> str:
    """One line; ``group`` with its prefix."""
    if error.code() == KafkaError.INVALID_SESSION_TIMEOUT:
        return (
            f"Kafka takes no session of {settings.kafka_session_seconds:g} s. Let "
            f"{PREFIX}KAFKA_SESSION_SECONDS lie between its group.min.session.timeout.ms and "
            "group.max.session.timeout.ms, and restart."
        )
    if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
        return (
            f"Kafka does not let this user into the group {group}. Let an operator run "
            "`retrace acls`."
        )
    return f"Kafka does not let this consumer into the group {group}: {error.str()}"
