from dataclasses import replace

import numpy as np
import pytest
from simulated import history, only

from training.sequences import Encoder
from training.stage import FIRST_BLOCK, MOST_BLOCKWISE, Recorded, Said, Stage, recorded


def test_what_is_recorded_never_knows_what_comes_later() -> None:
    past = history(6, 200)
    later = past.is_correct.copy()
    later[120:] = ~later[120:]
    changed = replace(
        past, is_correct=later, seconds=np.where(np.arange(200) < 120, past.seconds, 1.0)
    )
    encoder = Encoder.of(past)
    before, after = recorded(past, encoder), recorded(changed, encoder)
    assert before is not None
    assert after is not None
    assert np.array_equal(before.features[:101], after.features[:101])
    assert not np.array_equal(before.features[150:], after.features[150:])
    for name in before.said:
        assert np.array_equal(before.said[name].prior[:101], after.said[name].prior[:101])


@pytest.mark.parametrize("n", [1, 2, FIRST_BLOCK, FIRST_BLOCK + 1])
def test_few_rows_are_recorded(n: int) -> None:
    past = history(2, n)
    found = recorded(past, Encoder.of(past))
    assert found is not None
    assert np.array_equal(found.numbers, past.numbers)
    assert np.isfinite(found.features).all()
    for said in found.said.values():
        assert np.isfinite(said.prior).all()
        assert np.isfinite(said.own).all()
        assert len(said.prior) == len(said.own) == n


def test_many_rows_are_not_told_block_by_block() -> None:
    past = history(100, MOST_BLOCKWISE + 1)
    assert recorded(past, Encoder.of(past)) is None


def test_a_prior_begun_from_another_arrives_at_the_same_place() -> None:
    past, every = history(40, 1200), np.ones(1200, dtype=np.bool_)
    first = Stage.of(past, Encoder.of(past), np.arange(1200) < 1000)
    cold, warm = (Stage.of(past, first.encoder, every, before) for before in (None, first))
    assert warm.said()["correctness"].prior == pytest.approx(
        cold.said()["correctness"].prior, abs=0.02
    )
    assert warm.said()["time"].prior == pytest.approx(cold.said()["time"].prior, abs=0.02)


def test_a_stage_serves_another_history_as_it_does_its_own() -> None:
    past = history(6, 200)
    stage = Stage.of(past, Encoder.of(past), np.ones(200, dtype=np.bool_))
    mine = past.users == "user-3"
    alone = stage.on(only(past, mine)).said()
    for name, said in stage.said().items():
        assert alone[name].prior == pytest.approx(said.prior[mine])


def test_what_is_known_comes_before_what_is_told_now() -> None:
    def told(numbers: list[int], value: float) -> Recorded:
        column = np.full(len(numbers), value)
        said = {name: Said(column, column) for name in ("correctness", "time")}
        return Recorded(np.array(numbers), np.full((len(numbers), 2), value, np.float32), said)

    joined = told([2, 5], 1.0).then(told([7], 2.0)).of(told([1, 2, 6, 7, 9], 3.0))
    assert joined.numbers.tolist() == [1, 2, 6, 7, 9]
    assert joined.said["time"].own.tolist() == joined.features[:, 0].tolist() == [3, 1, 3, 2, 3]
