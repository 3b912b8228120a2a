"""What reaches the networks: only what was known at a task's start, however it is computed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from simulated import history, only

from schemas.history import History
from training.features import FEATURES, SESSION_GAP, Memory, Tasks, places
from training.lnirt import Lnirt
from training.sequences import (
    LEARNERS,
    MAX_STEPS,
    STEPS,
    Encoder,
    Inputs,
    Scaling,
    Vocabulary,
    batches,
    bucket,
    replay,
    sequences,
)

PREVIOUS = ("previous", "previous_difficulty")
START = 1_700_000_000_000
# One user, topic and difficulty that occur are left out.
ENCODER = Encoder(
    Vocabulary(("user-0", "user-1")), Vocabulary(("topic-1", "topic-0")),
    Vocabulary(("easy",)), Scaling(START / 1000, START / 1000 + 10),
)  # fmt: skip

task = st.tuples(
    st.integers(0, 2), st.integers(0, 2), st.sampled_from(["easy", "hard"]), st.integers(0, 12),
    st.integers(0, 6), st.booleans(), st.floats(-3.0, 6.0), st.booleans(),
)  # fmt: skip
NAMES = st.lists(st.text("aé😀", max_size=2))
units = st.sampled_from([1, 1_000, 1_000_000])


@st.composite
def pasts(draw: st.DrawFn) -> History:
    """Few users with overlapping tasks, equal instants, clocks that go anywhere."""
    drawn, unit = draw(st.lists(task, min_size=1, max_size=12)), draw(units)
    users, topics, names, starts, spans, correct, log_seconds, timed_out = zip(*drawn, strict=True)
    # A fraction of a millisecond makes no difference.
    noise = np.random.default_rng(len(drawn)).uniform(-3e-4, 3e-4, (2, len(drawn)))
    started = (START + np.array(starts) * unit) / 1000
    return History(
        numbers=np.arange(1, len(drawn) + 1),
        users=np.array([f"user-{u}" for u in users], dtype=object),
        topics=np.array([f"topic-{t}" for t in topics], dtype=object),
        difficulties=np.array(names, dtype=object),
        started_at=started + noise[0],
        completed_at=started + np.array(spans) * unit / 1000 + noise[1],
        is_correct=np.array(correct),
        seconds=np.exp(np.array(log_seconds)),
        timed_out=np.array(timed_out),
    )


def model_of(encoder: Encoder) -> Lnirt:
    """LNIRT whose cells differ."""
    random = np.random.default_rng(3)
    shape = encoder.sizes[1:]
    a, phi, sigma = random.uniform(0.5, 1.5, (3, *shape))
    b, lam = random.normal(0, 1, (2, *shape))
    return Lnirt(a, b, phi, lam + 3, sigma, np.array([[0.5, 0.1], [0.1, 0.2]]))


def replayed(past: History, encoder: Encoder = ENCODER) -> Inputs:
    return replay(encoder.tasks(past), encoder, model_of(encoder))


def table(inputs: Inputs) -> np.ndarray:
    """Every number that networks or LNIRT are told of each row."""
    return np.column_stack([*inputs.columns.values(), inputs.p, inputs.mu, inputs.sigma])


def known_before(past: History, at: int) -> np.ndarray:
    """Which completions a task's start finds, by the rule in words."""
    started, completed = (np.round(t * 1000) for t in (past.started_at, past.completed_at))
    took_time = completed > started
    earlier = (completed < started[at]) | ((completed == started[at]) & took_time)
    return earlier & (past.users == past.users[at])


def other_seconds(past: History, rows: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Columns in which all but the words, user and start of these rows have changed."""
    random = np.random.default_rng(seed)
    changed = {n: getattr(past, n).copy() for n in ("is_correct", "seconds", "timed_out")}
    changed["is_correct"][rows] ^= True
    changed["seconds"][rows] *= random.lognormal(0, 2, rows.sum())
    changed["timed_out"][rows] ^= random.random(rows.sum()) < 0.5
    changed["completed_at"] = past.completed_at + rows * random.choice([0, 0.001, 1e5], len(past))
    return changed


@given(pasts(), st.data())
def test_an_outcome_reaches_exactly_what_starts_after_it(
    past: History, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(past) - 1))
    other = replace(past, is_correct=past.is_correct ^ (np.arange(len(past)) == at))
    changed = (table(replayed(past)) != table(replayed(other))).any(axis=1)
    reached = [known_before(past, row)[at] for row in range(len(past))]
    assert changed.tolist() == reached
    assert not changed[at]


@given(pasts(), st.integers(0, 10_000), st.data())
def test_later_completions_and_the_own_one_reach_no_input(
    past: History, seed: int, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(past) - 1))
    random, known = np.random.default_rng(seed), known_before(past, at)
    other = replace(past, **other_seconds(past, ~known, seed))
    later = ~known & (np.arange(len(past)) != at)
    other.topics[later] = random.permutation(other.topics[later])
    other.difficulties[later] = "hard"
    kept = ~later | (random.random(len(past)) < 0.5)
    found = table(replayed(only(other, kept)))[kept[:at].sum()]
    assert found.tolist() == table(replayed(past))[at].tolist()


@given(pasts(), st.integers(0, 10_000))
def test_rows_of_other_learners_may_stand_in_between(past: History, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(past))
    for user in set(past.users):
        mine = past.users[order] == user
        order[mine] = np.sort(order[mine])
    mixed = table(replayed(only(past, order)))
    assert mixed.tolist() == table(replayed(past))[order].tolist()


def one_by_one(tasks: Tasks, model: Lnirt) -> tuple[np.ndarray, ...]:
    """As serving would: one start or completion at a time, learner after learner."""
    at, rows = places(tasks)
    memory = Memory(model, int(tasks.learner.max()) + 1, rows)
    events = sorted(
        [(int(tasks.learner[r]), int(tasks.started[r]), 1, r) for r in range(len(tasks))]
        + [
            (int(tasks.learner[r]), int(tasks.completed[r]),
             0 if tasks.completed[r] > tasks.started[r] else 2, r)
            for r in range(len(tasks))
        ]
    )  # fmt: skip
    found = {}
    for _, _, kind, row in events:
        if kind == 1:
            found[row] = memory.read(tasks, at, np.array([row]))
        else:
            memory.advance(tasks, at, np.array([row]))
    names = ("features", "p", "mu", "sigma", *PREVIOUS)
    return tuple(
        np.concatenate([getattr(found[row], name) for row in range(len(tasks))]) for name in names
    )


@given(pasts())
def test_a_whole_history_at_once_is_the_same_as_step_by_step(past: History) -> None:
    whole, tasks = replayed(past), ENCODER.tasks(past)
    features, *rest = one_by_one(tasks, model_of(ENCODER))
    assert whole.columns["features"].tolist() == features.astype(np.float32).tolist()
    columns = (whole.p, whole.mu, whole.sigma, *(whole.columns[n] for n in PREVIOUS))
    for together, alone in zip(columns, rest, strict=True):
        assert together.tolist() == alone.tolist()


@given(pasts())
def test_every_number_is_finite(past: History) -> None:
    inputs = replayed(past)
    assert np.isfinite(table(inputs)).all()
    assert ((inputs.p > 0) & (inputs.p < 1) & (inputs.sigma > 0)).all()
    assert inputs.columns["previous"].max() <= 2 * len(ENCODER.topics) + 2
    assert inputs.columns["previous_difficulty"].max() <= len(ENCODER.difficulties) + 1


def test_no_input_goes_with_the_own_outcome_or_duration() -> None:
    random, n = np.random.default_rng(11), 6000
    past = history(30, n)
    seconds = random.lognormal(3, 1, n)
    past = replace(
        past, is_correct=random.random(n) < 0.5, seconds=seconds,
        completed_at=past.started_at + seconds,
    )  # fmt: skip
    encoder = Encoder.of(past)
    columns = table(replayed(past, encoder))
    columns = columns[:, columns.std(axis=0) > 0]
    standard = (columns - columns.mean(axis=0)) / columns.std(axis=0)

    def correlation(values: np.ndarray) -> float:
        return float(np.abs(standard.T @ ((values - values.mean()) / values.std()) / n).max())

    chance = 4.5 / np.sqrt(n)
    assert correlation(past.is_correct) < chance
    assert correlation(np.log(seconds)) < chance
    # Of what was done before there are traces, so that the measure can fail.
    before = np.zeros(n)
    for rows in sequences(encoder.tasks(past)):
        before[rows[1:]] = past.is_correct[rows[:-1]]
    assert correlation(before) > 0.5


def of_one(starts: list[float], seconds: float = 1.0) -> History:
    """One learner's tasks, on one topic, all right."""
    n = len(starts)
    past = only(history(1, n), np.arange(n))
    started = START / 1000 + np.array(starts)
    past.topics[:], past.difficulties[:] = "topic-0", "easy"
    return replace(
        past, started_at=started, completed_at=started + seconds, is_correct=np.ones(n, bool)
    )


def is_told(past: History, values: np.ndarray, error: float = 1e-5) -> bool:
    """Whether one of the features says this of every row."""
    found = replayed(past).columns["features"]
    far = np.abs(found - values[:, None]) > error * np.abs(values[:, None]) + 1e-6
    return bool((~far).all(axis=0).any())


def faded(past: History) -> np.ndarray:
    """The power law itself, of each learner's right answers."""
    gaps = past.started_at[:, None] - past.completed_at
    seen = past.is_correct & (gaps >= 0) & (past.users[:, None] == past.users)
    left = np.where(seen, np.maximum(gaps, 1.0) / 10, np.inf) ** -0.35
    return np.log1p(left.sum(axis=1))


@pytest.mark.parametrize(("longest", "error"), [(1e5, 0.06), (1e7, 0.13)])
def test_one_answer_fades_with_a_power_of_time(longest: float, error: float) -> None:
    gaps = np.geomspace(1, longest, 60)
    past = of_one([0.0] * 60 + (1.0 + gaps).tolist())
    past.users[:] = [f"user-{n}" for n in range(60)] * 2
    assert is_told(past, faded(past), error)
    assert not is_told(past, faded(past) * 1.3, error)


def test_answers_add_up() -> None:
    random = np.random.default_rng(2)
    starts = 30 + np.cumsum(random.choice([3, 1000, 100_000], 60) * random.random(60))
    past = of_one([0.0, *starts.tolist()])
    assert is_told(past, faded(past), 0.05)


def test_what_the_features_say_of_a_small_history() -> None:
    past = of_one([0.0, 10.0, 20.0, 20.0 + SESSION_GAP + 2.0])
    past.is_correct[1] = False
    found = replayed(past).columns["features"]
    assert found.shape == (4, FEATURES)
    right, wrong, session = [0, 1, 1, 2], [0, 0, 1, 1], [0, 1, 2, 0]
    for count in (right, wrong, session):
        assert is_told(past, np.log1p(count))
    assert is_told(past, np.log1p([0, 9, 9, SESSION_GAP + 1]) / 5)
    for yes in ([0, 1, 1, 1], [1, 0, 0, 1]):
        assert is_told(past, np.array(yes))


def test_the_last_completion_is_an_input_of_its_own() -> None:
    past = of_one([0.0, 10.0, 20.0, 30.0])
    past.topics[1], past.difficulties[1], past.is_correct[2] = "topic-1", "hard", False
    columns = replayed(past).columns
    # topic-0 is 2 and topic-1 is 1; hard is not known, easy is 1.
    assert columns["previous"].tolist() == [0, 1 + 2 * 2 + 1, 1 + 2 * 1 + 1, 1 + 2 * 2]
    assert columns["previous_difficulty"].tolist() == [0, 2, 1, 2]


def test_unknown_names_are_zero() -> None:
    names = Vocabulary(("a", "b"))
    assert (names.index("b"), names.index("c")) == (2, 0)
    assert names.encode(np.array(["b", "?", "a"], dtype=object)).tolist() == [2, 0, 1]


@given(NAMES, NAMES)
def test_new_names_change_no_index(first: list[str], second: list[str]) -> None:
    before = Vocabulary().extended(np.array(first, dtype=object), 100)
    after = before.extended(np.array(second, dtype=object), 100)
    assert after.names[: len(before)] == before.names
    assert set(after.names) == {*first, *second}
    assert len(after) == len(set(after.names))
    assert sorted(after.index(name) for name in after.names) == list(range(1, len(after) + 1))


def test_a_full_vocabulary_takes_the_frequent_names_only() -> None:
    values = np.array(["rare", "often", "often", "always", "always", "always"], dtype=object)
    held = Vocabulary().extended(values, 2)
    assert held.names == ("always", "often")
    assert held.extended(np.array(["new"], dtype=object), 2) is held
    assert held.index("rare") == 0


def test_scaling_stops_beyond_the_training_range() -> None:
    times = np.array([-1e9, 0.0, 100.0, 150.0, 200.0, 250.0, 1e9])
    assert Scaling(100.0, 200.0).apply(times).tolist() == [-1, -1, 0, 0.5, 1, 1.5, 2]
    assert Scaling(100.0, 100.0).apply(times).tolist() == [-1, -1, 0, 2, 2, 2, 2]


def test_an_encoder_survives_json() -> None:
    past = history(3, 20)
    past.topics[3] = "😀"
    encoder = Encoder.of(past)
    assert Encoder.from_dict(json.loads(json.dumps(encoder.to_dict()))) == encoder
    longer = Encoder.of(history(9, 90), encoder)
    assert longer.topics.names[: len(encoder.topics)] == encoder.topics.names
    assert longer.users.names[: len(encoder.users)] == encoder.users.names
    assert longer.sizes == (10, 6, 4)


def test_a_clock_that_runs_backwards_completes_at_its_start() -> None:
    past = of_one([0.0, 1.0], seconds=-5.0)
    tasks = ENCODER.tasks(past)
    assert tasks.completed.tolist() == tasks.started.tolist()


def test_no_completions_no_sequences() -> None:
    nothing = only(history(1, 1), np.arange(0))
    tasks = Encoder.of(nothing).tasks(nothing)
    assert sequences(tasks) == []
    inputs = replayed(nothing, Encoder.of(nothing))
    assert inputs.columns["features"].shape == (0, FEATURES)
    assert list(batches([], inputs)) == []


@given(pasts())
def test_sequences_are_learners_in_the_order_of_their_starts(past: History) -> None:
    tasks = ENCODER.tasks(past)
    found = sequences(tasks)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(past)))
    for rows in found:
        assert len(set(past.users[rows])) == 1
        keys = list(zip(tasks.started[rows].tolist(), rows.tolist(), strict=True))
        assert keys == sorted(keys)
    assume(len(past) > 3)
    assert max(len(rows) for rows in sequences(tasks, 3)) <= 3
    assert np.concatenate(sequences(tasks, 3)).tolist() == np.concatenate(found).tolist()


def test_long_histories_are_cut() -> None:
    past = history(1, 2 * MAX_STEPS + 5)
    lengths = [len(rows) for rows in sequences(ENCODER.tasks(past))]
    assert lengths == [MAX_STEPS, MAX_STEPS, 5]


@pytest.mark.parametrize("seed", [None, 3])
def test_batches_hold_every_step_once(seed: int | None) -> None:
    past = history(37, 400)
    encoder = Encoder.of(past)
    inputs, rows = replayed(past, encoder), sequences(encoder.tasks(past))
    random = None if seed is None else np.random.default_rng(seed)
    found = list(batches(rows, inputs, generator=random))
    held = np.concatenate([batch.rows[batch.mask > 0] for batch in found])
    assert sorted(held) == list(range(400))
    for batch in found:
        real = batch.mask > 0
        assert len(batch.rows) <= max(LEARNERS, STEPS // batch.rows.shape[1])
        assert batch.rows.shape[1] == bucket(int(batch.mask.sum(axis=1).max()))
        assert ((batch.rows >= 0) == real).all()
        assert (np.diff(batch.mask, axis=1) <= 0).all()
        for name, column in inputs.columns.items():
            assert (batch.inputs[name][real] == column[batch.rows[real]]).all()
            assert not batch.inputs[name][~real].any()
            assert batch.inputs[name].dtype == column.dtype


def test_a_generator_s_seed_fixes_the_batches() -> None:
    past = history(50, 400)
    encoder = Encoder.of(past)
    inputs, rows = replayed(past, encoder), sequences(encoder.tasks(past))

    def drawn(seed: int) -> list[list[list[int]]]:
        random = np.random.default_rng(seed)
        return [batch.rows.tolist() for batch in batches(rows, inputs, generator=random)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_lengths_are_bucketed() -> None:
    assert [bucket(n) for n in (0, 1, 8, 9, 16, 1024)] == [8, 8, 8, 16, 16, 1024]


def test_many_learners_with_one_task_each() -> None:
    past = history(5, 20_000)
    past = replace(past, users=np.array([f"user-{n}" for n in range(20_000)], dtype=object))
    encoder = Encoder.of(past)
    inputs = replayed(past, encoder)
    assert not inputs.columns["previous"].any()
    assert np.isfinite(table(inputs)).all()
    assert len(sequences(encoder.tasks(past))) == 20_000
