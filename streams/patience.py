"""Waiting for what is away: with backoff, visibly in health and logs, for as long as it takes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import structlog
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential_jitter,
)

from streams import common_metrics as metrics
from streams.health import Health

P = ParamSpec("P")
R = TypeVar("R")
log = structlog.get_logger("retrace")


class Stopped(Exception):
    """The service was asked to stop while it waited."""


@dataclass(frozen=True)
class Patience:
    """Runs calls that may find their dependency away, until they succeed or ``stop`` is set."""

    health: Health
    stop: threading.Event

    def call(
        self,
        dependency: str,
        away: Callable[[BaseException], bool],
        work: Callable[P, R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """``work``'s result. Errors that waiting cannot mend are raised as they are.

        Raises ``Stopped`` where the service is asked to stop meanwhile.
        """
        retrying = Retrying(
            retry=retry_if_exception(away),
            wait=wait_exponential_jitter(multiplier=0.1, max=5.0, jitter=0.2),
            stop=stop_when_event_set(self.stop),
            sleep=sleep_using_event(self.stop),
            before_sleep=lambda state: self._waiting(dependency, state),
            retry_error_callback=_stopped,
        )
        result = retrying(work, *args, **kwargs)
        if self.health.set(dependency, True):
            log.info("reached", dependency=dependency)
        return result

    def _waiting(self, dependency: str, state: RetryCallState) -> None:
        self.health.beat()
        metrics.RETRIES.labels(dependency).inc()
        error = state.outcome.exception() if state.outcome else None
        detail = first_line(error)
        if self.health.set(dependency, False, detail):
            log.warning("waiting", dependency=dependency, because=detail)


def first_line(error: BaseException | None) -> str:
    """An error's first line for people, without addresses of documentation."""
    cause = getattr(error, "orig", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return (lines[0] if lines else type(cause).__name__)[:300]


def _stopped(state: RetryCallState) -> None:
    raise Stopped from (state.outcome.exception() if state.outcome else None)
