import numpy as np
import pytest
from simulated import history, only

from training.metrics import TopicDifficulty, auc, ece, log_loss, score

CORRECT = np.array([True, False, True, False])
P = np.array([0.9, 0.2, 0.6, 0.6])


def test_log_loss() -> None:
    by_hand = -(np.log(0.9) + np.log(0.8) + np.log(0.6) + np.log(0.4)) / 4
    assert log_loss(CORRECT, P) == pytest.approx(by_hand)
    assert np.isfinite(log_loss(CORRECT, np.array([0.0, 1.0, 0.0, 1.0])))


def test_auc_counts_ties_half() -> None:
    assert auc(CORRECT, P) == pytest.approx(3.5 / 4)
    assert auc(CORRECT, np.full(4, 0.5)) == pytest.approx(0.5)
    assert auc(np.array([True, True]), P[:2]) is None


def test_ece_by_hand() -> None:
    # Bins of a fifteenth: .9 and .2 alone, .6 twice with one of two correct.
    assert ece(CORRECT, P) == pytest.approx((0.1 + 0.2 + 2 * 0.1) / 4)
    assert ece(np.array([True]), np.array([1.0])) == 0.0


def test_score_by_hand() -> None:
    seconds = np.array([10.0, 20.0, 40.0, 80.0])
    predicted = np.array([20.0, 20.0, 20.0, 40.0])
    found = score(CORRECT, P, seconds, predicted, predicted / 2, predicted * 1.5)
    assert found["rows"] == 4
    assert found["accuracy"] == pytest.approx(3 / 4)
    assert found["brier"] == pytest.approx((0.01 + 0.04 + 0.16 + 0.36) / 4)
    assert found["mae_seconds"] == pytest.approx((10 + 0 + 20 + 40) / 4)
    assert found["log_rmse"] == pytest.approx(np.log(2) * np.sqrt(3) / 2)
    assert found["coverage_80"] == pytest.approx(0.5)


def test_nothing_to_score() -> None:
    nothing = np.array([])
    found = score(nothing.astype(bool), *[nothing] * 5)
    assert found.pop("rows") == 0
    assert set(found.values()) == {None}


def test_topic_difficulty_shrinks_to_the_overall_mean() -> None:
    past = only(history(2, 6), np.arange(6))
    past.topics[:] = "t"
    past.difficulties[:] = ["a", "a", "a", "b", "a", "b"]
    past.is_correct[:] = [True, True, False, False, True, True]
    past.seconds[:] = np.exp([2, 2, 2, 4, 3, 3])
    learned = np.array([True] * 4 + [False] * 2)
    model = TopicDifficulty.of(only(past, learned))
    found_p, found_mu, sigma = model.at(only(past, ~learned))
    p = np.array([(2 + 4 * 0.5) / 7, (0 + 4 * 0.5) / 5])
    mu = np.array([(6 + 4 * 2.5) / 7, (4 + 4 * 2.5) / 5])
    assert found_p == pytest.approx(p)
    assert found_mu == pytest.approx(mu)
    assert (sigma > 0).all()
