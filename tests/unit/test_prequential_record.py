"""The prequential record: kept rows, scores, bytes."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from schemas.errors import ArtifactError
from training.metrics import Z_80
from training.record import COLUMNS, KEPT, LEAST_COMPARED, PREDICTORS, Record

SCORES = {
    "rows", "log_loss", "auc", "accuracy", "brier", "ece", "mae_seconds", "log_rmse",
    "coverage_80",
}  # fmt: skip


def record(rows: int, first: int = 1, seed: int = 0, *, serving: bool = True) -> Record:
    random = np.random.default_rng(seed)
    columns = {"number": np.arange(first, first + rows, dtype=float)}
    columns["correct"] = (random.random(rows) < 0.6).astype(float)
    columns["log_seconds"] = random.normal(3, 1, rows)
    for who in PREDICTORS[: None if serving else -1]:
        columns[f"{who}_p"] = random.uniform(0.1, 0.9, rows)
        columns[f"{who}_mu"] = random.normal(3, 1, rows)
        columns[f"{who}_sigma"] = random.uniform(0.5, 2, rows)
    return Record.of(**columns)


def test_bytes_are_read_as_written() -> None:
    for kept in (record(7), record(7, serving=False), Record.empty()):
        assert np.array_equal(Record.from_bytes(kept.to_bytes()).rows, kept.rows, equal_nan=True)


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    np.savez(file, rows=np.zeros((2, len(COLUMNS))))
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        record(5).to_bytes()[:-1],
        record(5).to_bytes()[:40],
        saved(np.zeros(15)),
        saved(np.zeros((2, 3))),
        saved(np.zeros((2, len(COLUMNS)), dtype=np.float32)),
        saved(np.full((2, len(COLUMNS)), None)),
        zipped(),
        zipped()[:60],
    ],
    ids=["empty", "junk", "cut", "header", "flat", "narrow", "single", "pickled", "zip", "cut zip"],
)
def test_foreign_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ArtifactError, match="prequential record"):
        Record.from_bytes(content)


def test_the_newest_rows_are_kept() -> None:
    kept = record(KEPT - 3).then(record(10, first=KEPT - 2))
    assert len(kept) == KEPT
    assert kept.column("number").tolist() == list(range(8, KEPT + 8))
    assert len(Record.empty().then(record(4))) == 4
    assert len(record(4).then(Record.empty())) == 4


def test_metrics_of_the_product_and_its_peers() -> None:
    found = record(300).metrics()
    assert set(found) == SCORES | {"lnirt", "topic_difficulty", "serving"}
    for peer in ("lnirt", "topic_difficulty", "serving"):
        assert set(found[peer]) == SCORES
        assert found[peer]["rows"] == found["rows"] == 300
    json.dumps(found, allow_nan=False)


def test_scores_are_of_the_mixture_at_each_row() -> None:
    kept = record(300)
    p, sigma, mixture = kept.product()
    found = kept.metrics()
    right = kept.column("correct") > 0.5
    assert found["log_loss"] == pytest.approx(-np.log(np.where(right, p, 1 - p)).mean())
    error = np.abs(kept.column("log_seconds") - kept.middle())
    assert found["coverage_80"] == pytest.approx((error <= Z_80 * sigma).mean())
    assert found["log_rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    assert sum(mixture.weights) == pytest.approx(1)


def test_the_last_outcome_changes_no_prediction() -> None:
    kept = record(50)
    other = Record(kept.rows.copy())
    other.rows[-1, COLUMNS.index("correct")] = 1 - kept.column("correct")[-1]
    other.rows[-1, COLUMNS.index("log_seconds")] += 100.0
    (p, sigma, mixture), (same_p, same_sigma, moved) = kept.product(), other.product()
    assert p.tolist() == same_p.tolist()
    assert sigma.tolist() == same_sigma.tolist()
    assert moved.weights != mixture.weights
    assert moved.width > mixture.width or mixture.width == moved.width == 3.0


def test_serving_is_compared_on_equal_rows_only() -> None:
    kept = record(20)
    assert kept.metrics()["serving"] is not None
    kept.rows[4, COLUMNS.index("serving_p")] = np.nan
    scored = kept.metrics()
    assert scored["rows"] == scored["serving"]["rows"] == scored["lnirt"]["rows"] == 19
    kept.rows[: 21 - LEAST_COMPARED, COLUMNS.index("serving_p")] = np.nan
    assert kept.metrics()["serving"] is None
    assert kept.metrics()["rows"] == 20
    assert record(20, serving=False).metrics()["serving"] is None


def test_what_serving_said_before_is_remembered_where_it_is_silent_now() -> None:
    now, before = record(10, first=11, serving=False), record(10, first=6)
    now.rows[9, COLUMNS.index("serving_p") :] = 0.5
    before.rows[5:, 1:3] = now.rows[:5, 1:3]
    found = now.seen_by_serving(before)
    assert found.column("serving_p")[:5].tolist() == before.column("serving_p")[5:].tolist()
    assert found.column("serving_sigma")[:5].tolist() == before.column("serving_sigma")[5:].tolist()
    assert np.isnan(found.column("serving_p")[5:9]).all()
    assert found.column("serving_p")[9] == 0.5
    assert np.isnan(now.column("serving_p")[:9]).all()
    assert np.array_equal(found.rows[:, :-3], now.rows[:, :-3])
    before.rows[5, 2] += 1.0
    assert np.isnan(now.seen_by_serving(before).column("serving_p")[0])
    silent = now.seen_by_serving(Record.empty())
    assert np.array_equal(silent.rows, now.rows, equal_nan=True)


def test_no_rows_have_no_scores() -> None:
    found = Record.empty().metrics()
    assert found["rows"] == 0
    assert found["log_loss"] is None
    assert found["serving"] is None
    json.dumps(found, allow_nan=False)
    _, _, mixture = Record.empty().product()
    assert mixture.width == 1.0
