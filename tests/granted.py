"""Database users who are members of one role each."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from ops import roles
from schemas import access

PASSWORD = "of-a-test"


@contextmanager
def database_users(url: str) -> Iterator[dict[str, str]]:
    """Role to the URL of a user who is a member of it; gone afterwards."""
    mark = uuid.uuid4().hex[:8]
    users = {role: f"u_{role}_{mark}" for role in access.DATABASE_ROLES}
    owner = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with owner.connect() as connection:
        connection.exec_driver_sql(roles.sql())
        connection.exec_driver_sql(roles.sql())  # again changes nothing
        for role, user in users.items():
            connection.exec_driver_sql(
                f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}' IN ROLE {roles.PREFIX}{role}"
            )
    try:
        yield {
            role: make_url(url)
            .set(username=user, password=PASSWORD)
            .render_as_string(hide_password=False)
            for role, user in users.items()
        }
    finally:
        with owner.connect() as connection:
            for user in users.values():
                connection.exec_driver_sql(f"DROP ROLE {user}")
