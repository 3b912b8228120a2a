"""What people are told when a server is away while a command runs."""

from __future__ import annotations

OLD = "The store's tables are missing or older. Start a service: it brings them up to date."


def words(error: BaseException) -> str | None:
    """One line that says what to do; None for an error that is not a server's absence."""
    from streams import database, kafka
    from streams.patience import first_line

    if database.is_emptied(error):
        return OLD
    if database.is_refused(error):
        return f"PostgreSQL refuses this user: {first_line(error)}. Compare `retrace roles`."
    if kafka.is_refused(error):
        return f"Kafka refuses this user: {first_line(error)}. Compare `retrace acls --check`."
    for is_away, server, setting in (
        (database.is_away, "PostgreSQL", "RETRACE_DATABASE_URL"),
        (kafka.is_away, "Kafka", "RETRACE_KAFKA_BOOTSTRAP"),
    ):
        if is_away(error):
            return f"{server} does not answer: {first_line(error)}. Start it, or set {setting}."
    return None
