"""docs/model.md describes every score and feature there is, with the numbers that the code has."""

from __future__ import annotations

import re
from pathlib import Path

from schemas.events import ModelMetrics
from schemas.settings import Settings
from training import deep, epochs, features, fit, mixture, prior, record, sequences, stage, steps
from training.networks import DROPOUT, INPUT_DROPOUT
from training.shapes import Shape

DOC = (Path(__file__).parents[2] / "docs" / "model.md").read_text()


def section(number: int) -> str:
    return DOC.split(f"\n## {number}. ")[1].split("\n## ")[0]


def grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def test_every_score_is_explained() -> None:
    explained = re.findall(r"^\| `(\w+)` \|", section(8), flags=re.M)
    assert sorted(explained) == sorted(ModelMetrics.model_fields)
    assert f"at most {grouped(record.KEPT)}" in section(8)


def test_every_feature_is_described() -> None:
    scopes, scoped, general, crosses = (
        len(features.SCOPES), features.SCOPED, features.GENERAL, features.CROSSES,
    )  # fmt: skip
    total = f"{features.FEATURES} = {scopes} × {scoped} + {general} + {crosses}"
    assert section(2).startswith(f"Features: {total}\n")
    assert all(f"`{scope}`" in section(2) for scope in features.SCOPES)
    described: dict[str, list[int]] = {"scope": [], "general": [], "cross": []}
    rows = re.findall(r"^\| (scope|general|cross) \| (\d+)(?:–(\d+))? \|", section(2), flags=re.M)
    for group, first, last in rows:
        described[group] += range(int(first), int(last or first) + 1)
    assert [len(places) for places in described.values()] == [scoped, general, crosses]
    assert all(places == list(range(len(places))) for places in described.values())


def test_the_prior_s_penalties_are_the_code_s() -> None:
    penalty = prior.SCOPE_PENALTY
    assert penalty["learner"] == penalty["difficulty"]
    told = (
        f"$\\kappa={penalty['learner']:g}$ for scopes `learner` and `difficulty`, "
        f"{penalty['topic']:g} for `topic`, {penalty['cell']:g} for `cell`, "
        f"{prior.FEATURE_PENALTY:g} for general and"
    )
    assert told in " ".join(section(4).split())
    assert f"\\tfrac{prior.NAME_PENALTY:g}2" in section(4)
    assert f"the {prior.MOST_NAMES} most frequent" in section(4)
    assert f"blocks ({stage.FIRST_BLOCK} rows" in section(4)
    assert f"Beyond {grouped(stage.MOST_BLOCKWISE)} rows" in section(4)


def test_the_residual_s_numbers_are_the_code_s() -> None:
    widths = [columns for _, columns in Shape("time", "residual", 64, 16, 8).embeddings.values()]
    assert f"{sum(widths) + features.FEATURES + 1} numbers" in section(5)
    assert f"n+{deep.GUARD_ROWS}" in section(5)
    rates = f"{INPUT_DROPOUT['correctness']} (time: {INPUT_DROPOUT['time']})"
    assert f"dropout {DROPOUT} after each LSTM, {rates} on numbers" in section(5)
    decay = f"weight decay {steps.DECAY['correctness']:g} ({steps.DECAY['time']:g})"
    assert decay in section(5)
    assert f"{mixture.DISCOUNT}^" in section(7)


def test_the_bounds_of_a_request_are_the_code_s() -> None:
    learners = sequences.LEARNERS
    steps = f"a step for every {deep.ROWS_A_STEP} new rows on {learners} learners"
    warm = f"{steps}, {learners // 4} of them with new rows, the newest {epochs.REPLAYED} tasks"
    assert warm in section(6)
    assert f"{fit.GROWTH:g} times the completions of the last full training" in section(6)
    assert "(`RETRACE_TRAIN_EPOCHS`)" in section(6)
    assert f"({grouped(Settings.model_fields['train_rows'].default)})" in section(6)
    assert f"{Settings.model_fields['train_epochs'].default} epochs" in section(6)
    names = f"{grouped(sequences.MOST_USERS)} learners, {grouped(sequences.MOST_TOPICS)} topics"
    assert f"{names} or {sequences.MOST_DIFFICULTIES} difficulties" in section(6)
