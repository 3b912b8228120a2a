"""Kafka's ACLs from the table of who needs what: as lines for kafka-acls.sh, or applied."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from schemas import access
from schemas.access import Grant
from schemas.errors import RetraceError, UsageError
from schemas.settings import Settings
from streams import declare, kafka

SECONDS = 15.0


@dataclass(frozen=True)
class Difference:
    """What the broker's ACLs lack, and what they hold that no role needs."""

    missing: tuple[AclBinding, ...]
    too_much: tuple[AclBinding, ...]


def users(given: Iterable[str]) -> dict[str, str]:
    """Each role's Kafka user: ``retrace-<role>``, or as given by ``ROLE=NAME``."""
    found = {role: f"retrace-{role}" for role in access.ROLES}
    for pair in given:
        role, sign, name = pair.partition("=")
        if role not in found or not sign or not name:
            raise UsageError(f"{pair!r} is not ROLE=NAME; roles: {', '.join(access.ROLES)}")
        found[role] = name
    return found


def script(prefix: str, named: Mapping[str, str]) -> str:
    """Lines for kafka-acls.sh, which take the address and a configuration from two variables."""
    begin = 'kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --command-config "$CONFIG" --add'
    return "\n".join(
        f"{begin} --allow-principal {shlex.quote('User:' + named[grant.role])} "
        f"--operation {_spelled(grant.operation)} "
        f"--{grant.resource.lower()} {shlex.quote(grant.name)} "
        f"--resource-pattern-type {'prefixed' if grant.prefixed else 'literal'}"
        for grant in access.grants(prefix)
    )


def difference(settings: Settings, named: Mapping[str, str]) -> Difference:
    """The broker's ACLs of these users beside what is needed.

    Raises ``Unreachable``, and ``RetraceError`` where this user may not see ACLs.
    """
    edge = kafka.admin(settings)
    declare.partitions(edge)  # says why where the broker lets nobody in
    wanted = {binding(grant, named[grant.role]) for grant in access.grants(settings.topic_prefix)}
    found = {each for name in set(named.values()) for each in _described(edge, name)}
    return Difference(_sorted(wanted - found), _sorted(found - wanted))


def apply(settings: Settings, missing: Sequence[AclBinding]) -> None:
    """Add these. Raises ``RetraceError`` where this user may not; what is too much stays."""
    if not missing:
        return
    edge = kafka.admin(settings)  # held until it has answered
    for future in edge.create_acls(list(missing), request_timeout=SECONDS).values():
        try:
            future.result()
        except KafkaException as error:
            raise _refused(error) from None


def binding(grant: Grant, user: str) -> AclBinding:
    """A grant as Kafka holds it, from any host."""
    pattern = ResourcePatternType.PREFIXED if grant.prefixed else ResourcePatternType.LITERAL
    return AclBinding(
        ResourceType[grant.resource], grant.name, pattern, f"User:{user}", "*",
        AclOperation[grant.operation], AclPermissionType.ALLOW,
    )  # fmt: skip


def words(each: AclBinding) -> str:
    """One ACL as one line."""
    star = "*" if each.resource_pattern_type == ResourcePatternType.PREFIXED else ""
    kind = ResourceType(each.restype).name.lower()
    operation = AclOperation(each.operation).name.lower()
    return f"{each.principal} {operation} {kind} {each.name}{star}"


def _described(edge: AdminClient, user: str) -> list[AclBinding]:
    every = AclBindingFilter(
        ResourceType.ANY,
        None,  # type: ignore[arg-type]
        ResourcePatternType.ANY,
        f"User:{user}",
        None,  # type: ignore[arg-type]
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    try:
        return list(edge.describe_acls(every, request_timeout=SECONDS).result())
    except KafkaException as error:
        raise _refused(error) from None


def _refused(error: KafkaException) -> RetraceError:
    reason = error.args[0]
    if reason.code() == KafkaError.CLUSTER_AUTHORIZATION_FAILED:
        return RetraceError(
            "This user may not see or change ACLs; take the cluster's administrator."
        )
    if reason.code() == KafkaError.SECURITY_DISABLED:
        return RetraceError("This Kafka has no authorizer: it holds no ACLs.")
    return RetraceError(f"Kafka did not take the ACLs: {reason.str()}")


def _spelled(operation: str) -> str:
    return operation.title().replace("_", "")


def _sorted(found: Iterable[AclBinding]) -> tuple[AclBinding, ...]:
    return tuple(sorted(found, key=words))
