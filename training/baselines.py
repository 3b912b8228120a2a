"""What every model must beat: a constant, topic × difficulty means, and a logistic regression.

The regression is in the style of Best-LR (Gervet, Koedinger, Schneider and Mitchell 2020, "When is
deep learning the best approach to knowledge tracing?"): counts of past successes and failures,
recency, topic and difficulty. All three are deterministic.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from schemas.history import History
from training.evaluate import Predictions
from training.metrics import (
    DEFAULT_P,
    DEFAULT_SECONDS,
    SHRINKAGE,
    Floats,
    Ints,
    TopicDifficulty,
    spread_of,
    take,
)

NUMERIC = 9
PENALTY_ROWS = 20.0
MOST_ITERATIONS = 1000


class Constant:
    """The share of right answers, and the mean and spread of log seconds."""

    def learn(self, history: History) -> None:
        log_seconds, rows = np.log(history.seconds), len(history)
        # Never 0 or 1, which a single row would give: Laplace's rule of succession.
        self._p = (history.is_correct.sum() + 2 * DEFAULT_P) / (rows + 2)
        self._mu = log_seconds.mean() if rows else np.log(DEFAULT_SECONDS)
        self._sigma = spread_of(log_seconds - self._mu)

    def predict(self, history: History, rows: Ints) -> Predictions:
        return Predictions(
            *(np.full(len(rows), value) for value in (self._p, self._mu, self._sigma))
        )


class CellMean:
    """Means by topic × difficulty, see ``training.metrics.TopicDifficulty``."""

    def learn(self, history: History) -> None:
        self._means = TopicDifficulty.of(history)

    def predict(self, history: History, rows: Ints) -> Predictions:
        return Predictions(*self._means.at(take(history, rows)))


class BestLR:
    """Logistic regression for the outcome and ridge for log seconds, on the same features.

    Coefficients are shrunk with the weight of twenty rows, of which one tells at most a quarter
    about a logit: enough for some hundred rows, nothing for many thousand. Where outcomes are all
    alike there is nothing to regress: it falls back on ``Constant``.
    """

    def learn(self, history: History) -> None:
        self._constant = Constant()
        self._constant.learn(history)
        self._fitted = len(np.unique(history.is_correct)) == 2
        if self._fitted:
            self._fit(history)

    def _fit(self, history: History) -> None:
        log_seconds = np.log(history.seconds)
        self._mean = float(log_seconds.mean())
        self._columns = one_hot_columns(history)
        counts = self._numeric(history)
        self._scaler = StandardScaler().fit(counts)
        inputs = self._inputs(history, counts)
        self._outcome = LogisticRegression(C=4 / PENALTY_ROWS, max_iter=MOST_ITERATIONS)
        self._outcome.fit(inputs, history.is_correct)
        self._time = Ridge(alpha=PENALTY_ROWS, solver="sparse_cg").fit(inputs, log_seconds)
        self._sigma = spread_of(log_seconds - self._time.predict(inputs))

    def predict(self, history: History, rows: Ints) -> Predictions:
        if not self._fitted:
            return self._constant.predict(history, rows)
        inputs = self._inputs(take(history, rows), self._numeric(history)[rows])
        p = self._outcome.predict_proba(inputs)[:, 1]
        return Predictions(p, self._time.predict(inputs), np.full(len(rows), self._sigma))

    def _numeric(self, history: History) -> Floats:
        """``past_counts`` with the learner's mean log seconds shrunk to the learned rows' mean."""
        counts = past_counts(history)
        tasks = np.expm1(counts[:, :2]).sum(axis=1)
        counts[:, -1] = (counts[:, -1] + SHRINKAGE * self._mean) / (tasks + SHRINKAGE)
        return counts

    def _inputs(self, tasks: History, counts: Floats) -> sparse.csr_array:
        dense = sparse.csr_array(self._scaler.transform(counts))
        return sparse.csr_array(sparse.hstack([dense, one_hots(tasks, self._columns)]))


@dataclass
class _Past:
    """What a learner has completed: [successes, failures] in all and by topic and cell."""

    counts: defaultdict[tuple[str, ...], list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0])
    )
    ends: dict[str, float] = field(default_factory=dict)
    log_seconds: float = 0.0

    def add(self, keys: tuple[tuple[str, ...], ...], correct: bool, end: float, log: float) -> None:
        for key in keys:
            self.counts[key][0 if correct else 1] += 1
        self.ends[keys[1][0]] = end
        self.log_seconds += log

    def features(self, keys: tuple[tuple[str, ...], ...], start: float) -> list[float]:
        counts = [count for key in keys for count in self.counts.get(key, (0, 0))]
        end = self.ends.get(keys[1][0])
        gap = 0.0 if end is None else start - end
        return [*np.log1p([*counts, gap]), float(end is not None), self.log_seconds]


def past_counts(history: History) -> Floats:
    """What each row's learner had completed by its start, [n, 9]: log1p of successes and failures
    in all, in the topic and in topic × difficulty; log1p of seconds since the topic's last
    completion; whether there was one; the sum of log seconds."""
    found = np.zeros((len(history), NUMERIC))
    past: defaultdict[str, _Past] = defaultdict(_Past)
    keys = [((), (t,), (t, d)) for t, d in zip(history.topics, history.difficulties, strict=True)]
    log_seconds = np.log(history.seconds)
    for row, completes in _moments(history):
        learner = past[history.users[row]]
        if completes:
            outcome, end = history.is_correct[row], history.completed_at[row]
            learner.add(keys[row], bool(outcome), float(end), float(log_seconds[row]))
        else:
            found[row] = learner.features(keys[row], float(history.started_at[row]))
    return found


def _moments(history: History) -> list[tuple[int, bool]]:
    """Every row's start (False) and completion (True) in order of time, completions first where
    they coincide, but a row's own completion never before its start."""
    rows = len(history)
    ends = np.maximum(history.completed_at, np.nextafter(history.started_at, np.inf))
    starting = np.repeat([False, True], rows)
    order = np.lexsort((starting, np.concatenate([ends, history.started_at])))
    return [(int(at % rows), bool(at < rows)) for at in order]


def one_hot_columns(history: History) -> dict[tuple[str, str], int]:
    """A column for each topic ("t", ""), difficulty ("", "d") and topic × difficulty ("t", "d")."""
    pairs = set(zip(history.topics, history.difficulties, strict=True))
    names = {(t, "") for t, _ in pairs} | {("", d) for _, d in pairs} | pairs
    return {name: column for column, name in enumerate(sorted(names))}


def one_hots(history: History, columns: dict[tuple[str, str], int]) -> sparse.csr_array:
    """[n, columns], with zeros for names that are not known."""
    cells = [
        (row, columns[name])
        for row, (t, d) in enumerate(zip(history.topics, history.difficulties, strict=True))
        for name in ((t, ""), ("", d), (t, d))
        if name in columns
    ]
    at = np.array(cells, dtype=np.int64).reshape(-1, 2).T
    return sparse.csr_array((np.ones(at.shape[1]), (at[0], at[1])), (len(history), len(columns)))
