import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import history, only

from schemas.history import History
from training.sequences import (
    MAX_STEPS,
    Encoder,
    Scaling,
    Vocabulary,
    batches,
    bucket,
    sequences,
    with_task,
)

histories = st.builds(
    history,
    learners=st.integers(1, 5),
    rows=st.integers(1, 40),
    seed=st.integers(0, 10_000),
)


def inputs(past: History, encoder: Encoder) -> list[tuple[list[float], ...]]:
    return [
        (s.rows.tolist(), s.user.tolist(), s.topic.tolist(), s.difficulty.tolist(), s.time.tolist())
        for s in sequences(past, encoder)
    ]


@given(histories, st.integers(0, 10_000))
def test_outcomes_and_durations_never_reach_the_inputs(past: History, seed: int) -> None:
    random = np.random.default_rng(seed)
    seconds = random.exponential(50, len(past)) + 0.1
    other = replace(
        past,
        is_correct=random.random(len(past)) < 0.5,
        seconds=seconds,
        completed_at=past.started_at + seconds,
        timed_out=random.random(len(past)) < 0.5,
    )
    assert Encoder.of(past) == Encoder.of(other)
    assert inputs(past, Encoder.of(past)) == inputs(other, Encoder.of(other))


@given(histories, st.data())
def test_later_completions_never_change_earlier_inputs(past: History, data: st.DataObject) -> None:
    encoder = Encoder.of(past)
    until = data.draw(st.integers(1, len(past)))
    later = {whole[1][0]: whole for whole in inputs(past, encoder)}
    for before in inputs(only(past, np.arange(until)), encoder):
        whole = later[before[1][0]]
        assert all(
            column == longer[: len(column)] for column, longer in zip(before, whole, strict=True)
        )


@given(histories)
def test_a_task_to_predict_is_the_step_that_its_completion_becomes(past: History) -> None:
    encoder = Encoder.of(past)
    user = past.users[-1]
    own = only(past, past.users == user)
    asked = with_task(
        only(own, np.arange(len(own) - 1)),
        encoder,
        user,
        own.topics[-1],
        own.difficulties[-1],
        own.started_at[-1],
    )
    (learned,) = sequences(own, encoder)
    for name in ("user", "topic", "difficulty", "time"):
        assert getattr(asked, name).tolist() == getattr(learned, name).tolist()
    assert asked.rows[-1] == -1


def test_steps_follow_the_store_s_numbers_whatever_the_order_of_rows() -> None:
    past = history(3, 50)
    shuffled = only(past, np.random.default_rng(1).permutation(50))
    encoder = Encoder.of(past)
    assert [each[1:] for each in inputs(past, encoder)] == [
        each[1:] for each in inputs(shuffled, encoder)
    ]


def test_only_the_newest_steps_are_kept() -> None:
    past = history(1, MAX_STEPS + 5)
    encoder = Encoder.of(past)
    (steps,) = sequences(past, encoder)
    assert steps.rows.tolist() == list(range(5, MAX_STEPS + 5))
    asked = with_task(past, encoder, "user-0", "topic-0", "easy", 1.7e9)
    assert len(asked) == MAX_STEPS


def test_unknown_names_are_zero() -> None:
    names = Vocabulary(("a", "b"))
    assert (names.index("b"), names.index("c")) == (2, 0)
    assert names.encode(np.array(["b", "?", "a"], dtype=object)).tolist() == [2, 0, 1]


def test_scaling_stops_beyond_the_training_range() -> None:
    times = np.array([-1e9, 0.0, 100.0, 150.0, 200.0, 250.0, 1e9])
    assert Scaling(100.0, 200.0).apply(times).tolist() == [-1, -1, 0, 0.5, 1, 1.5, 2]
    assert Scaling(100.0, 100.0).apply(times).tolist() == [-1, -1, 0, 2, 2, 2, 2]


def test_an_encoder_survives_json() -> None:
    encoder = Encoder.of(history(3, 20))
    assert Encoder.from_dict(json.loads(json.dumps(encoder.to_dict()))) == encoder


def test_no_completions_no_sequences() -> None:
    nothing = only(history(1, 1), np.arange(0))
    assert sequences(nothing, Encoder.of(nothing)) == []
    assert list(batches([])) == []


@pytest.mark.parametrize("seed", [None, 3])
def test_batches_hold_every_step_once(seed: int | None) -> None:
    past = history(37, 400)
    all_steps = sequences(past, Encoder.of(past))
    random = None if seed is None else np.random.default_rng(seed)
    found = list(batches(all_steps, generator=random))
    rows = np.concatenate([batch.rows[batch.mask > 0] for batch in found])
    assert sorted(rows) == list(range(400))
    assert all(batch.rows.shape[1] % 8 == 0 and len(batch.members) <= 16 for batch in found)
    assert all((batch.rows[batch.mask == 0] == -1).all() for batch in found)


def test_lengths_are_bucketed() -> None:
    assert [bucket(n) for n in (1, 8, 9, 16, 1024)] == [8, 8, 16, 16, 1024]
