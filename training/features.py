"""What is known of a learner when a task starts: one incremental rule for training and serving.

A ``Memory`` is advanced by each completed task and read before the next one starts, at a cost that
does not grow with the history. It holds the same facts in four scopes (the learner's tasks, those
of the topic, of the difficulty, of the cell topic × difficulty) and the LNIRT filter's state. All
operations work on m different learners at once. Pure: imports numpy and LNIRT, nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gamma
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import lnirt_filter
from training.lnirt import Lnirt

SCOPES = ("learner", "topic", "difficulty", "cell")
RIGHT, WRONG, LAST, AVERAGE, ENDED, TIME_SUM, TIME_LAST, TIME_AVERAGE, COUNT = FIELDS = range(9)
SCOPED, SUCCESS, SEEN = 12, 2, 8
GENERAL = 7
# What is known of the learner counts for less once the cell itself is known; what is known of the
# cell means another thing after successes than after failures.
CROSSES = (SCOPED + GENERAL) + SCOPED + 3
FEATURES = len(SCOPES) * SCOPED + GENERAL + CROSSES

OUTCOME_RATE, TIME_RATE = 0.4, 0.3
SESSION_GAP = 1800.0

# Forgetting follows a power of time (Wixted and Ebbesen 1991): (t / 10 s)^-0.35 as a sum of
# exponentials, one per decade, so that a trace is advanced in place.
DECAY = 0.35
SPANS = 10.0 ** np.arange(12)
WEIGHTS = np.log(10.0) / gamma(DECAY) * (SPANS / 10.0) ** -DECAY

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Starts:
    """n tasks at their start as numbers, columns of length n.

    ``learner`` 0 … L-1; ``user``, ``topic``, ``difficulty`` vocabulary indices, 0 for unknown
    names; ``started`` whole milliseconds.
    """

    learner: Ints
    user: Ints
    topic: Ints
    difficulty: Ints
    started: Ints

    def __len__(self) -> int:
        return len(self.learner)


@dataclass(frozen=True)
class Tasks(Starts):
    """With what came of them: ``completed`` whole milliseconds, ``log_seconds`` natural
    logarithms."""

    completed: Ints
    correct: Bools
    log_seconds: Floats
    timed_out: Bools


@dataclass(frozen=True)
class Known:
    """What a task's start finds, columns of length m: ``features`` [m, FEATURES]; LNIRT's ``p``,
    ``mu`` and ``sigma``; topic, outcome and difficulty of the learner's last completion, the first
    two as 1 + 2·topic + outcome, the last as 1 + difficulty, 0 for none."""

    features: Floats
    p: Floats
    mu: Floats
    sigma: Floats
    previous: Ints
    previous_difficulty: Ints


class Memory:
    """The states of L learners; ``places`` are the rows of a task's four scopes."""

    def __init__(self, model: Lnirt, learners: int, rows: int) -> None:
        self.model = model
        self.facts = np.empty((rows, len(FIELDS)))
        self.traces = np.empty((rows, 2, len(SPANS)), dtype=np.float32)  # most of what is held
        self.irt = np.empty((learners, 5))
        self.session = np.empty(learners)
        self.previous = np.empty((learners, 2), dtype=np.int64)
        self.forget(slice(None), slice(None))

    def forget(self, learners: Any, rows: Any) -> None:
        """As if these learners, and these rows of scopes, had never been advanced."""
        self.facts[rows] = 0.0
        self.facts[rows, AVERAGE] = 0.5
        self.traces[rows] = 0.0
        self.irt[learners] = lnirt_filter.initial(self.model, 1)
        self.session[learners] = 0.0
        self.previous[learners] = 0

    def make_room(self, learners: int, rows: int) -> None:
        """Room for this many, all that is held kept; never less than there is."""
        for name in ("facts", "traces", "irt", "session", "previous"):
            held = getattr(self, name)
            wanted = rows if name in ("facts", "traces") else learners
            if wanted > len(held):  # in place: a copy beside it would double the process's peak
                held.resize((wanted, *held.shape[1:]), refcheck=False)

    def read(self, tasks: Starts, places: Ints, at: Ints | slice) -> Known:
        """What is known when the tasks at these positions start; by ``take``, which for few rows is
        quicker than an index."""
        learner, topic, difficulty = tasks.learner[at], tasks.topic[at], tasks.difficulty[at]
        rows, started = places[at], tasks.started[at] / 1000.0
        facts, state = self.facts.take(rows, axis=0), self.irt.take(learner, axis=0)
        p, mu, sigma = lnirt_filter.answer(self.model, state, topic, difficulty)
        features = np.empty((len(learner), FEATURES))
        general, crosses = features[:, -GENERAL - CROSSES : -CROSSES], features[:, -CROSSES:]
        cells = features[:, : -GENERAL - CROSSES].reshape(-1, len(SCOPES), SCOPED)
        traces = self.traces.take(rows, axis=0).astype(np.float64)
        _describe(cells, facts, traces, started)
        new = _begins_session(facts, started)
        logit = _logit(p)
        general[:, 0] = np.log1p(self.session.take(learner) * ~new)
        general[:, 1] = new
        general[:, 2:5] = state[:, :3]
        general[:, 5], general[:, 6] = logit, mu
        _cross(crosses, cells, general)
        crosses[:, -3] = logit * np.log1p(facts[:, 3, RIGHT] + facts[:, 3, WRONG])
        crosses[:, -2:] = state[:, :2] * cells[:, 1, SEEN, None]
        return Known(features, p, mu, sigma, *self.previous.take(learner, axis=0).T)

    def advance(self, tasks: Tasks, places: Ints, at: Ints) -> None:
        """The tasks at these positions have been completed; their learners differ."""
        learner, rows = tasks.learner[at], places[at]
        topic, difficulty, correct = tasks.topic[at], tasks.difficulty[at], tasks.correct[at]
        facts, ended = self.facts[rows], tasks.completed[at] / 1000.0
        new = _begins_session(facts, tasks.started[at] / 1000.0)
        self.session[learner] = np.where(new, 1.0, self.session[learner] + 1.0)
        gap = np.maximum(ended[:, None] - facts[..., ENDED], 0.0)
        traces = self.traces[rows] * np.exp(-gap[..., None, None] / SPANS)
        traces[np.arange(len(at)), :, np.where(correct, 0, 1)] += 1.0
        self.traces[rows] = traces
        surprise = tasks.log_seconds[at] - self.model.lam[topic, difficulty]
        self.facts[rows] = _advanced(facts, ended, correct, surprise)
        self.irt[learner] = lnirt_filter.advance(
            self.model, self.irt[learner], topic, difficulty, correct,
            tasks.log_seconds[at], tasks.timed_out[at],
        )  # fmt: skip
        self.previous[learner, 0] = 1 + 2 * topic + correct
        self.previous[learner, 1] = 1 + difficulty


def places(tasks: Tasks) -> tuple[Ints, int]:
    """The row of each task's four scopes [n, 4], and how many rows there are."""
    topics, difficulties = (int(c.max(initial=0)) + 1 for c in (tasks.topic, tasks.difficulty))
    keys = (
        tasks.learner,
        tasks.learner * topics + tasks.topic,
        tasks.learner * difficulties + tasks.difficulty,
        (tasks.learner * topics + tasks.topic) * difficulties + tasks.difficulty,
    )
    found, rows = np.empty((len(tasks), len(SCOPES)), dtype=np.int64), 0
    for scope, key in enumerate(keys):
        distinct, inverse = np.unique(key, return_inverse=True)
        found[:, scope] = inverse + rows
        rows += len(distinct)
    return found, rows


def _begins_session(facts: Floats, started: Floats) -> Bools:
    whole = facts[:, 0]
    return np.asarray((whole[:, COUNT] == 0) | (started - whole[:, ENDED] > SESSION_GAP))


def _describe(out: Floats, facts: Floats, traces: Floats, started: Floats) -> None:
    """facts [m, 4, FIELDS] and traces [m, 4, 2, SPANS] at ``started`` to ``out`` [m, 4, SCOPED]."""
    tasks = facts[..., RIGHT] + facts[..., WRONG]
    seen = tasks > 0
    gap = np.maximum(started[:, None] - facts[..., ENDED], 0.0)
    fading = np.exp(np.maximum(gap, 1.0)[..., None] / -SPANS) * WEIGHTS
    out[..., 0:2] = np.log1p(facts[..., RIGHT : WRONG + 1])
    out[..., 2] = facts[..., AVERAGE] - 0.5
    out[..., 3] = np.log1p(gap * seen) / 5.0
    out[..., 4] = facts[..., TIME_SUM] / np.maximum(tasks, 1.0)
    out[..., 5:7] = facts[..., TIME_LAST : TIME_AVERAGE + 1]
    out[..., 7] = np.log1p((facts[:, :1, COUNT] - facts[..., COUNT]) * seen)
    out[..., SEEN] = seen
    out[..., 9:11] = np.log1p(np.vecdot(traces, fading[:, :, None]))
    out[..., 11] = facts[..., LAST] * facts[..., TIME_LAST]


def _cross(out: Floats, cells: Floats, general: Floats) -> None:
    """All but the last three crosses, of cells [m, 4, SCOPED] and general [m, GENERAL]."""
    learner, cell = cells[:, 0], cells[:, 3]
    out[:, :SCOPED] = cell[:, SEEN, None] * learner
    out[:, SCOPED : SCOPED + GENERAL] = cell[:, SEEN, None] * general
    out[:, SCOPED + GENERAL : -3] = cell[:, SUCCESS, None] * cell


def _advanced(facts: Floats, ended: Floats, correct: Bools, surprise: Floats) -> Floats:
    """The facts [m, 4, FIELDS] after one more task each."""
    new, time = facts.copy(), surprise[:, None]
    right = correct.astype(np.float64)[:, None]
    new[..., RIGHT] += right
    new[..., WRONG] += 1.0 - right
    new[..., LAST] = 2.0 * right - 1.0
    new[..., AVERAGE] += OUTCOME_RATE * (right - facts[..., AVERAGE])
    new[..., ENDED] = np.maximum(ended[:, None], facts[..., ENDED])
    new[..., TIME_SUM] += time
    new[..., TIME_LAST] = time
    first = facts[..., RIGHT] + facts[..., WRONG] == 0
    blend = facts[..., TIME_AVERAGE] + TIME_RATE * (time - facts[..., TIME_AVERAGE])
    new[..., TIME_AVERAGE] = np.where(first, time, blend)
    new[..., COUNT] = facts[:, :1, COUNT] + 1.0
    return new


def _logit(p: Floats) -> Any:
    p = np.minimum(np.maximum(p, 1e-4), 1 - 1e-4)
    return np.log(p) - np.log1p(-p)
