"""PostgreSQL's roles from the table of who needs what, as SQL without any password.

Group roles that nobody signs in as; a service's own user is made a member of one.
"""

from __future__ import annotations

from collections.abc import Iterator

from schemas import access

PREFIX = "retrace_"


def sql() -> str:
    """Statements for the tables' owner, in one transaction; run again they change nothing."""
    return "\n".join(["BEGIN;", *_statements(), "COMMIT;"])


def _statements() -> Iterator[str]:
    names = [PREFIX + role for role in access.DATABASE_ROLES]
    for name in names:
        yield (
            f"DO $$ BEGIN CREATE ROLE {name} NOLOGIN; "
            "EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        )
    yield "REVOKE CREATE ON SCHEMA public FROM PUBLIC;"
    every = ", ".join(names)
    yield f"GRANT USAGE ON SCHEMA public TO {every};"
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {every};"
    for table, rights in access.TABLES.items():
        for role, letters in rights.items():
            wanted = ", ".join(access.RIGHTS[letter] for letter in letters)
            yield f"GRANT {wanted} ON {table} TO {PREFIX}{role};"
