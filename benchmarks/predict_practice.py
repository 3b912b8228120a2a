"""Learners who practise: each completes a task a second before he is asked about.

What recording would write, batch by batch, in its own thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Engine, text

from benchmarks.predict_prefill import name_of

LEAD_SECONDS, PERIOD = 1.0, 0.05
# A task takes half a second, so that learners who come again soon don't practise two at once.
ROWS = text(
    """WITH counted AS (
        UPDATE numbering SET last_number = last_number + cardinality(:users)
        RETURNING last_number - cardinality(:users) AS before
    )
    INSERT INTO completions
    SELECT 'now-' || before + k, before + k, learner, 'topic-' || (before + k) % 36,
        (ARRAY['easy', 'medium', 'hard'])[1 + k % 3], now() - interval '0.5 seconds', now(),
        k % 3 > 0, 20, false, 0, 0, now()
    FROM counted, unnest(:users) WITH ORDINALITY AS them(learner, k)"""
)


@contextmanager
def practising(engine: Engine, learners: Sequence[int], rate: float) -> Iterator[None]:
    """One after the other at this rate, from a second ago on; raises what went wrong."""
    ended, trouble = threading.Event(), list[BaseException]()
    began = time.monotonic()

    def go_on() -> None:
        done = 0
        try:
            while done < len(learners) and not ended.is_set():
                due = min(len(learners), int((time.monotonic() - began) * rate) + 1)
                if due > done:
                    record(engine, learners[done:due])
                done = due
                ended.wait(PERIOD)
        except BaseException as error:
            trouble.append(error)

    thread = threading.Thread(target=go_on, name="practice")
    thread.start()
    try:
        ended.wait(LEAD_SECONDS)
        yield
    finally:
        ended.set()
        thread.join()
    if trouble:
        raise trouble[0]


def record(engine: Engine, learners: Sequence[int]) -> None:
    """A completion each, numbered as recording does."""
    with engine.begin() as connection:
        connection.execute(ROWS, {"users": [name_of(each) for each in learners]})
