"""The prequential record: what was predicted of a version's newest rows before they were learned.

It decides the mixture that is served, gives the scores that are published (Dawid 1984), and
travels with the version, so that they go on where they were after a restart. Pure but for bytes.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ArtifactError
from training.metrics import Metrics, score_log_normal
from training.mixture import Mixture, middle, mixed, widths

KEPT = 2000
LEAST_COMPARED = 10
PREDICTORS = ("network", "prior", "lnirt", "cell", "serving")
FACTS = ("number", "correct", "log_seconds")
COLUMNS = (*FACTS, *(f"{who}_{what}" for who in PREDICTORS for what in ("p", "mu", "sigma")))
SERVING = COLUMNS[-3:]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Record:
    """Rows [m, COLUMNS] in ascending number: a right answer is 1; the serving version's predictions
    are NaN where it had learned the row already or there was none."""

    rows: Floats

    @classmethod
    def empty(cls) -> Record:
        return cls(np.empty((0, len(COLUMNS))))

    @classmethod
    def of(cls, **columns: Any) -> Record:
        """Of columns of equal length; those that are left out are NaN."""
        nothing = np.full(len(columns["number"]), np.nan)
        found = [columns.get(name, nothing) for name in COLUMNS]
        return cls(np.stack(found, axis=1).astype(np.float64))

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> Floats:
        return np.asarray(self.rows[:, COLUMNS.index(name)])

    def of_rows(self, number: Floats, correct: Floats, log_seconds: Floats) -> Record:
        """Those of these rows that are among the given ones, the same outcome and time included."""
        held = set(zip(*(c.tolist() for c in (number, correct, log_seconds)), strict=True))
        facts = self.rows[:, : len(FACTS)].tolist()
        return Record(self.rows[[tuple(row) in held for row in facts]])

    def then(self, later: Record) -> Record:
        """With later rows after these; the newest ``KEPT`` remain."""
        return Record(np.concatenate([self.rows, later.rows])[-KEPT:])

    def seen_by_serving(self, before: Record) -> Record:
        """These rows, with what ``before`` says of the serving version where this is silent, and
        where it speaks of the same outcome and time."""
        rows, at = self.rows.copy(), COLUMNS.index(SERVING[0])
        said = {tuple(row[: len(FACTS)]): row[at:] for row in before.rows.tolist()}
        for row in rows:
            if np.isnan(row[at]):
                row[at:] = said.get(tuple(row[: len(FACTS)].tolist()), row[at:])
        return Record(rows)

    def product(self) -> tuple[Floats, Floats, Mixture]:
        """p and sigma of what the mixture would have served of each row, and the mixture now."""
        correct = self.column("correct") > 0.5
        p, weights = mixed(correct, *(self.column(f"{w}_p") for w in PREDICTORS[:3]))
        sigma = self.column("network_sigma")
        width = widths((self.column("log_seconds") - self.middle()) / sigma)
        return p, sigma * width[:-1], Mixture(weights, float(width[-1]))

    def middle(self) -> Floats:
        """The log of the median time that the mixture would have served of each row."""
        return middle(self.column("network_mu"), self.column("prior_mu"))

    def metrics(self) -> dict[str, Any]:
        """As ``schemas.events.ModelMetrics`` has them: the product and its peers on the same rows.

        Those that the serving version predicted, too; all of them, and null for it, where it
        predicted hardly any.
        """
        p, sigma, _ = self.product()
        compared = np.isfinite(self.column(SERVING[0]))
        is_compared = int(compared.sum()) >= LEAST_COMPARED
        rows = compared if is_compared else np.ones(len(self), dtype=np.bool_)
        scored = {
            name: self._of(who, rows)
            for name, who in (("lnirt", "lnirt"), ("topic_difficulty", "cell"))
        }
        own = self._score(rows, p, self.middle(), sigma)
        return own | scored | {"serving": self._of("serving", rows) if is_compared else None}

    def _of(self, who: str, rows: Bools) -> Metrics:
        return self._score(rows, *(self.column(f"{who}_{what}") for what in ("p", "mu", "sigma")))

    def _score(self, rows: Bools, p: Floats, mu: Floats, sigma: Floats) -> Metrics:
        correct, seconds = self.column("correct")[rows] > 0.5, np.exp(self.column("log_seconds"))
        return score_log_normal(correct, p[rows], seconds[rows], np.exp(mu[rows]), sigma[rows])

    def to_bytes(self) -> bytes:
        file = io.BytesIO()
        np.lib.format.write_array(file, self.rows.astype(np.float64), allow_pickle=False)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Record:
        """Raises ArtifactError for anything but a record."""
        try:
            rows = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise ArtifactError("the prequential record is unreadable") from error
        if rows.ndim != 2 or rows.shape[1] != len(COLUMNS) or rows.dtype != np.float64:
            raise ArtifactError("the prequential record has another form")
        return cls(rows)
