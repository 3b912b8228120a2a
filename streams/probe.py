"""Looks at Kafka and the store now and then, so that health and logs say who is away even while
nothing is under way that would notice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import structlog
from sqlalchemy import Engine, text

from schemas.settings import Settings
from streams import declare, kafka
from streams.lags import Lag
from streams.patience import Patience, first_line

log = structlog.get_logger("retrace")
PROBE_SECONDS = 3.0
Check = Callable[[], object]


def start(settings: Settings, patience: Patience, engine: Engine) -> None:
    """Probe in a thread of its own until the service stops."""
    edge = kafka.admin(settings)
    checks: Mapping[str, Check] = {
        "kafka": lambda: declare.complete(settings, edge),
        "store": lambda: _ask(engine),
    }
    arguments = (settings, patience, checks)
    threading.Thread(target=_probe, args=arguments, name="probe", daemon=True).start()


def _probe(settings: Settings, patience: Patience, checks: Mapping[str, Check]) -> None:
    failures = dict.fromkeys(checks, 0)
    lags: list[Lag] = []
    while True:
        for name, check in checks.items():
            failures[name] = _look(patience, name, check, failures[name])
        watched = patience.health.consumptions
        lags += [Lag(settings, each) for each in watched[len(lags) :]]
        judge(patience, lags)
        if patience.stop.wait(PROBE_SECONDS):
            for each in lags:
                each.close()
            return


def _look(patience: Patience, name: str, check: Check, failures: int) -> int:
    """Look once; one slow answer on a busy machine is no outage, two are."""
    try:
        check()
    except Exception as error:
        if failures and patience.health.set(name, False, first_line(error)):
            log.warning("away", dependency=name, because=first_line(error))
        return failures + 1
    if patience.health.set(name, True):
        log.info("reached", dependency=name)
    return 0


def judge(patience: Patience, lags: Sequence[Lag]) -> None:
    """See what waits for each loop; while something is away nobody is expected to move."""
    away = not patience.health.ready()
    for each in lags:
        behind = None
        try:
            behind = each.behind()
        except Exception as error:
            log.debug("lag not known", topic=each.consumption.topic, because=first_line(error))
        each.consumption.look(behind, time.monotonic(), away=away)


def _ask(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
