"""What `retrace bench` runs: its data, its peer, and the form of what it prints. No timings."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from benchmarks import child, machine, padded_prefix, past, simulated, train, train_table
from ops import cli
from ops.cli import app
from schemas.settings import Settings

NUMBER = (int, float)


@pytest.fixture(autouse=True)
def _nothing_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"RETRACE_{name.upper()}", raising=False)
    monkeypatch.setenv("RETRACE_DATA_DIR", str(tmp_path / "data"))


@pytest.mark.parametrize("rows", [1, 5, 700, 20_000])
def test_a_simulated_history_is_one_that_a_store_could_hold(rows: int) -> None:
    made = simulated.history(rows, simulated.learners_of(rows), 1)
    assert made.numbers.tolist() == list(range(1, rows + 1))
    assert np.all(np.diff(made.completed_at) >= 0)
    assert np.allclose(made.completed_at - made.started_at, made.seconds)
    assert {len(column) for column in vars(made).values()} == {rows}
    assert np.all(made.seconds >= 1)


def test_simulated_learners_do_one_task_at_a_time() -> None:
    made = simulated.history(2000, 10, 2)
    for user in set(made.users):
        mine = np.flatnonzero(made.users == user)
        assert np.all(made.started_at[mine[1:]] >= made.completed_at[mine[:-1]])


def test_the_same_seed_simulates_the_same_history() -> None:
    first, again, other = (simulated.history(300, 6, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.seconds, again.seconds)
    assert not np.array_equal(first.seconds, other.seconds)


def test_a_bounded_selection_takes_whole_learners_half_of_them_recent() -> None:
    made = simulated.history(3000, 60, 1)
    chosen = past.in_memory(made, 1000, 1)(2900)
    assert 500 < len(chosen) <= 1000
    assert chosen.numbers.max() == 2900
    assert np.all(np.diff(chosen.numbers) > 0)
    for user in set(chosen.users):
        assert np.sum(chosen.users == user) == np.sum(made.users[:2900] == user)


def test_a_learner_with_too_much_history_keeps_the_newest() -> None:
    made = simulated.history(3000, 2, 1)
    chosen = past.in_memory(made, 1000, 1)(3000)
    for user in set(chosen.users):
        mine = made.numbers[made.users == user]
        assert np.array_equal(chosen.numbers[chosen.users == user], mine[-250:])


def test_a_history_survives_its_file(tmp_path: Path) -> None:
    made = simulated.history(50, 6, 1)
    past.save(made, tmp_path / "history.npz")
    read = past.made(40, 1, str(tmp_path / "history.npz"))
    for name, column in vars(made).items():
        assert np.array_equal(getattr(read, name), column[:40])
        assert getattr(read, name).dtype == column.dtype


def test_the_peer_sees_each_completion_after_all_before_it() -> None:
    made = simulated.history(40, 3, 1)
    inputs, targets = padded_prefix.samples(made)
    longest = max(np.sum(made.users == user) for user in set(made.users))
    assert inputs["user"].shape == (40, longest)
    assert np.array_equal(targets["correctness"], made.is_correct)
    for row in range(40):
        mine = np.flatnonzero(made.users[: row + 1] == made.users[row])
        assert np.all(inputs["user"][row, : longest - len(mine)] == 0)
        assert np.all(np.diff(inputs["time"][row, longest - len(mine) :]) >= 0)
        assert np.all(inputs["topic"][row, longest - len(mine) :] > 0)


def test_the_peers_whole_training_counts_its_first_epoch_once() -> None:
    assert padded_prefix.whole([5.0, 1.0]) == 5.0 + 19.0
    assert padded_prefix.whole([5.0, 1.0, 3.0]) == 5.0 + 19 * 2.0


def test_memory_and_machine_are_told() -> None:
    assert machine.peak_mib() > 10
    assert {"cpu", "cores", "memory_gib", "python", "tensorflow", "load"} <= set(machine.facts())


def test_a_measurement_that_fails_says_why() -> None:
    with pytest.raises(child.MeasurementFailed, match=r"no\.such\.module"):
        child.run("no.such.module", {}, print)


def test_train_measures_sizes_beside_the_peer(tmp_path: Path) -> None:
    file = tmp_path / "past.csv"
    file.write_text(_csv(80))
    arguments = ["--sizes", "60", "--repeats", "1", "--data", str(file), "--json"]
    result = CliRunner().invoke(app, ["bench", "train", *arguments])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert set(found) == {"bench", "machine", "settings", "sizes", "peer", "ratio"}
    (size,) = found["sizes"]
    _check_size(size)
    assert (size["rows"], size["data"]) == (60, "file")
    assert found["peer"]["rows"] == found["ratio"]["rows"] == 60
    assert found["peer"]["data"] == "file"
    assert all(len(each) == 2 for each in found["peer"]["epoch_seconds"].values())
    assert all(isinstance(value, NUMBER) for value in found["ratio"].values())
    assert "60 rows: warm" in result.stderr
    _check_table(found)


def test_sizes_beyond_the_file_are_simulated(tmp_path: Path) -> None:
    settings, file = Settings(), tmp_path / "history.npz"
    assert train.job(settings, 75, 1, file, 80)["file"] == str(file)
    assert train.job(settings, 76, 1, file, 80)["file"] is None
    assert train.job(settings, 10, 1, None, 0)["file"] is None


def test_the_ratio_compares_equal_rows_only() -> None:
    size = {"rows": 9000, "warm_seconds": {"median": 2.0}, "cold_seconds": 4.0}
    found = train.ratio(size, {"rows": 700, "seconds": 100.0})
    assert found == {"rows": 700, "peer_over_warm": None, "peer_over_cold": None}
    found = train.ratio(size, {"rows": 9000, "seconds": 100.0})
    assert found == {"rows": 9000, "peer_over_warm": 50.0, "peer_over_cold": 25.0}


def test_the_table_says_where_warm_was_not_warm() -> None:
    size = {"rows": 9000, "warm": [{}, {}], "warm_from_nothing": 1}
    (line,) = train_table._anew([size, size | {"warm_from_nothing": 0}])
    assert line.startswith("9 000: 1 of 2 requests")


@pytest.mark.parametrize("sizes", ["", "many", "9", "700,", "700,99999999999"])
def test_sizes_that_make_no_sense_are_wrong_usage(
    sizes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["retrace", "bench", "train", "--sizes", sizes])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert exited.value.code == 2


def _check_size(size: dict[str, Any]) -> None:
    assert size["history"] == "memory"
    assert size["learned"] == size["rows"] + 5
    assert size["cold"]["from_nothing"]
    assert size["warm_from_nothing"] == 0
    assert size["warm_seconds"]["median"] == size["warm"][0]["seconds"]
    assert set(size["warm_parts"]) == {"load", "select", "fit", "export"}
    assert size["peak_mib"] >= size["before_mib"] > 0


def _check_table(report: dict[str, Any]) -> None:
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(train_table.view(report))
    shown = console.export_text()
    assert "times as fast" in shown
    assert "from nothing" not in shown
    assert report["machine"]["cpu"] in shown


def _csv(rows: int) -> str:
    lines = ["user_id,topic,difficulty,timestamp,correct,response_time"]
    lines += [f"u{i % 4},t{i % 3},easy,{1.6e9 + 60 * i},{i % 2},{5 + i % 7}" for i in range(rows)]
    return "\n".join(lines)
