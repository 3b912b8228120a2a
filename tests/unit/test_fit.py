import json
from dataclasses import replace

import numpy as np
import pytest
from simulated import fitted, fitter, history, only

from schemas.errors import NotEnoughData, TrainingFailed
from training.epochs import EpochReport
from training.fit import TrainingStopped
from training.metrics import log_loss
from training.networks import Sizes, network
from training.sequences import Encoder, batches, sequences
from training.steps import TrainingSteps


def test_a_learnable_signal_is_learned() -> None:
    past, found = history(40, 1200), fitted()
    newest = past.is_correct[-240:]
    base = log_loss(newest, np.full(240, past.is_correct[:-240].mean()))
    assert found.metrics["rows"] == found.held_out == 240
    assert found.metrics["log_loss"] < base - 0.03
    assert found.metrics["auc"] > 0.65
    assert found.metrics["log_rmse"] < np.log(past.seconds).std()
    assert 0.7 < found.metrics["coverage_80"] < 0.9
    assert found.metrics["topic_difficulty"]["rows"] == 240


def test_what_is_kept_with_the_model_is_json() -> None:
    data = json.loads(json.dumps(fitted().metadata(), allow_nan=False))
    assert (data["users"], data["topics"], data["difficulties"]) == (40, 4, 3)
    assert data["completions"] == 1200
    assert data["metrics"]["lnirt"] is None


def test_a_seed_fixes_everything_on_a_fitter_used_before() -> None:
    past = history(8, 120)
    first, _, again = (fitter().fit(past, seed=seed, epochs=2) for seed in (4, 5, 4))
    assert first.metrics == again.metrics
    for name in ("correctness", "time"):
        weights = [getattr(each, name).get_weights() for each in (first, again)]
        assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


def test_epochs_are_reported_and_bounded() -> None:
    reports: list[EpochReport] = []
    fitter().fit(history(8, 60), seed=1, epochs=3, on_epoch=reports.append)
    assert [r.epoch for r in reports if r.model == "correctness"] == [1, 2, 3]
    assert [r.epoch for r in reports if r.model == "time"] == [1, 2, 3]
    assert all(r.epochs == 3 and np.isfinite([r.loss, r.val_loss]).all() for r in reports)


def test_training_stops_once_the_held_out_loss_no_longer_falls() -> None:
    past = history(8, 120)
    contrary = replace(past, is_correct=np.arange(120) < 96)
    reports: list[EpochReport] = []
    fitter().fit(contrary, seed=1, epochs=20, patience=2, on_epoch=reports.append)
    assert sum(r.model == "correctness" for r in reports) < 20


def test_held_out_rows_are_the_newest_and_are_not_learned_before_they_are_scored() -> None:
    past = history(8, 100)
    other = replace(past, is_correct=past.is_correct.copy(), seconds=past.seconds.copy())
    other.is_correct[80:] ^= True
    other.seconds[80:] *= 2
    losses: list[list[float]] = [[], []]
    for each, found in zip((past, other), losses, strict=True):
        fitter().fit(each, seed=1, epochs=3, on_epoch=lambda r, f=found: f.append(r.loss))
    assert losses[0] == losses[1]


def test_held_out_rows_are_learned_before_the_model_is_published() -> None:
    past = history(8, 100)
    other = replace(past, seconds=past.seconds.copy())
    other.seconds[80:] *= 2
    first, second = (fitter().fit(each, seed=1, epochs=1).time for each in (past, other))
    assert not np.array_equal(first.get_weights()[-1], second.get_weights()[-1])


def test_too_few_completions_are_refused() -> None:
    with pytest.raises(NotEnoughData, match="9 completions are too few"):
        fitter().fit(history(3, 9), seed=1)
    assert fitter().fit(history(3, 10), seed=1, epochs=1).held_out == 2


def test_one_learner_beyond_the_longest_sequence() -> None:
    found = fitter().fit(history(1, 6000), seed=1, epochs=1)
    assert found.metrics["rows"] == round(0.2 * 1024)


@pytest.mark.parametrize("column", ["seconds", "started_at"])
def test_a_number_that_is_none_fails_the_training(column: str) -> None:
    past = only(history(8, 80), np.arange(80))
    getattr(past, column)[7] = np.nan
    with pytest.raises(TrainingFailed, match="not finite"):
        fitter().fit(past, seed=1, epochs=2)


def test_training_can_be_stopped() -> None:
    reports: list[EpochReport] = []
    with pytest.raises(TrainingStopped):
        fitter().fit(
            history(8, 80), seed=1, on_epoch=reports.append, should_stop=lambda: len(reports) == 2
        )
    assert len(reports) == 2


def test_a_gradient_that_overflows_is_left_out() -> None:
    past = history(4, 60)
    encoder = Encoder.of(past)
    tables = Sizes.of(encoder).tables
    traced = TrainingSteps("correctness", tables)
    traced.begin(network("correctness", tables, seed=1), steps=10)
    (batch, *_) = batches(sequences(past, encoder))
    beyond = np.full(batch.mask.shape, 3e38, dtype=np.float32)
    targets = past.is_correct[batch.rows].astype(np.float32)
    assert not np.isfinite(traced.learn(batch.inputs, targets, beyond))
    assert all(np.isfinite(weight).all() for weight in traced.weights)
    assert np.isfinite(traced.learn(batch.inputs, targets, batch.mask))
