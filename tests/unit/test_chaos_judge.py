"""The judge of ``make chaos`` finds what is wrong: each check is seen to hold and to fail."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.codec import Bad, Raw, dead_letter
from schemas.errors import ConfigurationError
from schemas.events import Completions, NumberedCompletion, TaskCompleted
from streams import counting
from streams.counting import Counter, Intervals
from streams.forgotten import LEARNER, NOBODYS_CLAIM, Forgotten, seal, seal_task
from streams.windows import Rule
from tests.chaos import asked, plan
from tests.chaos.evidence import Evidence, Row
from tests.chaos.garbage import garbage
from tests.chaos.journal import Fault
from tests.chaos.judge import CHECKS, CLAIM, Truth, judge, mark, settled, truth
from tests.chaos.plan import Planned
from tests.chaos.progress import Sample, all_progress, alone, next_progress

BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)
GENERATION = 7
SALT = "5a" * 32
PLAN = plan.messages(3, 200, 20.0, BEGUN)
DUE = truth(PLAN)


def log_of(messages: Sequence[Planned]) -> list[Raw]:
    """One partition that holds everything in order."""
    return [
        Raw("task-completed", 0, offset, one.key, one.value, one.headers)
        for offset, one in enumerate(messages)
    ]


def letter_of(raw: Raw) -> Raw:
    message = dead_letter(Bad(raw, "decode", "not-json", "no"), "dead-letters", BEGUN)
    return Raw("dead-letters", 0, 0, message.key, message.value, tuple(message.headers))


def row_of(number: int, one: Planned) -> Row:
    value = json.loads(one.value or b"")
    at = datetime.fromisoformat(value["completed_at"])
    return Row(value["task_id"], number, tuple(value[name] for name in CLAIM), at)


def counter_of(rows: Sequence[Row]) -> Counter:
    items = tuple(NumberedCompletion(number=r.number, completed_at=r.completed_at) for r in rows)
    return counting.count(Counter(), Completions(generation=GENERATION, items=items), Rule())[0]


def good(messages: Sequence[Planned] = PLAN) -> Evidence:
    """What a faultless run of the plan leaves behind."""
    log = log_of(messages)
    firsts = [one for one in messages if one.kind == "completion"]
    rows = [row_of(number, one) for number, one in enumerate(firsts, 1)]
    items = [{"number": r.number, "completed_at": r.completed_at.isoformat()} for r in rows]
    bad = zip(log, messages, strict=True)
    return Evidence(
        log=log,
        letters=[letter_of(raw) for raw, one in bad if one.kind in ("garbage", "conflict")],
        requests=[request(number) for number in range(5, len(rows) + 1, 5)],
        announced=[{"generation": GENERATION, "items": items}],
        counter=counter_of(rows),
        rows=rows,
        generation=GENERATION,
        last_number=len(rows),
        positions={0: len(log)},
        ends={0: len(log)},
    )


def request(number: int, trigger: str = "count") -> dict[str, Any]:
    return {"request_id": f"{trigger}-{number}", "trigger": trigger, "completions": number}


def failed(evidence: Evidence, due: Truth = DUE) -> set[str]:
    return {check.name for check in judge(due, evidence) if not check.ok}


GOOD = good()
Change = Callable[[Evidence], Evidence]


def test_a_faultless_run_passes() -> None:
    assert [check.name for check in judge(DUE, GOOD) if not check.ok] == []


def test_what_may_happen_twice_may() -> None:
    """Copies in the log, letters, requests and announcements again, other triggers."""
    copy = GOOD.log[0]._replace(offset=len(GOOD.log))
    twice = replace(
        GOOD,
        log=[*GOOD.log, copy],
        letters=[*GOOD.letters, *GOOD.letters],
        requests=[*GOOD.requests, request(5), request(3, "manual")],
        announced=[*GOOD.announced, *GOOD.announced, {"generation": 1, "items": []}],
    )
    assert failed(twice) == set()


def test_a_new_log_beside_an_old_store_is_judged_on_both() -> None:
    later = plan.messages(3, 50, 5.0, BEGUN, "later")
    both = good([*PLAN, *later])
    log = log_of(later)
    letters = [
        letter_of(raw)
        for raw, one in zip(log, later, strict=True)
        if one.kind in ("garbage", "conflict")
    ]
    new = replace(both, log=log, letters=letters, positions={0: len(log)}, ends={0: len(log)})
    due = truth(later, PLAN)
    assert failed(new, due) == set()
    since = [request(number) for number in range(205, 251, 5)]
    assert failed(replace(new, requests=since), due) == set()
    assert failed(replace(new, requests=since[1:]), due) == {"requested"}
    assert failed(replace(new, announced=[]), due) == {"announced"}
    assert failed(new, truth(later)) >= {"recorded once", "numbered 1 … N"}


def _gone(evidence: Evidence, user: str, **more: Any) -> Evidence:
    """The same with one learner on the list and his completions nobody's."""
    listed = Forgotten({SALT: frozenset({seal(SALT, LEARNER, user)})})
    rows = [
        replace(row, task_id=seal_task(SALT, row.task_id), claim=NOBODYS_CLAIM)
        if row.claim[0] == user
        else row
        for row in evidence.rows
    ]
    return replace(evidence, **{"rows": rows, "forgotten": listed, **more})


def test_a_forgotten_learners_tasks_are_nobodys() -> None:
    conflict = next(one for one in PLAN if one.kind == "conflict")
    user = json.loads(conflict.value or b"")["user_id"]
    assert failed(_gone(GOOD, user)) == set()
    unsaid = [raw for raw in GOOD.letters if mark(raw) != conflict.name]
    assert len(unsaid) == len(GOOD.letters) - 1
    assert failed(_gone(GOOD, user, letters=unsaid)) == set()  # it was read after the erasure
    assert failed(replace(GOOD, letters=unsaid)) == {"dead letters"}
    assert failed(_gone(GOOD, user, rows=GOOD.rows)) == {"recorded once"}
    assert failed(_gone(GOOD, user, named=[user])) == {"erased"}


def _windows(evidence: Evidence, **more: Any) -> Evidence:
    windows = replace(evidence.counter.windows, **more)
    return replace(evidence, counter=replace(evidence.counter, windows=windows))


def _moved_window(evidence: Evidence) -> Evidence:
    """The same total, one completion in the wrong minute."""
    (first, count), *rest = evidence.counter.windows.counts
    (last, most) = rest[-1]
    moved = ((first, count + 1), *rest[:-1], (last, most - 1))
    return _windows(evidence, counts=moved)


def _swapped_rows(evidence: Evidence) -> Evidence:
    first, *rest = evidence.rows
    return replace(evidence, rows=[replace(first, claim=("someone else", *first.claim[1:])), *rest])


def _announced_otherwise(evidence: Evidence) -> Evidence:
    at = (BEGUN - timedelta(days=9)).isoformat()
    event = {"generation": GENERATION, "items": [{"number": 1, "completed_at": at}]}
    return replace(evidence, announced=[*evidence.announced, event])


def _letters(change: Callable[[Raw], Raw]) -> Change:
    return lambda evidence: replace(
        evidence, letters=[change(evidence.letters[0]), *evidence.letters[1:]]
    )


BROKEN: dict[str, tuple[Change, set[str]]] = {
    "a message not in the log": (
        lambda e: replace(e, log=[raw for raw in e.log if raw.offset != 0]),
        {"published"},
    ),
    "a message nobody sent": (
        lambda e: replace(e, log=[*e.log, e.log[0]._replace(offset=999, value=b"{}")]),
        {"published"},
    ),
    "unread": (lambda e: replace(e, ends={0: len(e.log) + 2}), {"read to the end"}),
    "a task lost": (
        lambda e: replace(e, rows=e.rows[:-1], last_number=e.last_number - 1),
        {"recorded once", "numbered 1 … N", "announced"},
    ),
    "a task twice": (
        lambda e: replace(e, rows=[*e.rows, replace(e.rows[0], number=201)], last_number=201),
        {"recorded once", "numbered 1 … N"},
    ),
    "a gap in the numbers": (
        lambda e: replace(e, rows=[*e.rows[:-1], replace(e.rows[-1], number=201)]),
        {"numbered 1 … N", "announced"},
    ),
    "the counter's row ahead": (
        lambda e: replace(e, last_number=e.last_number + 1),
        {"numbered 1 … N"},
    ),
    "a later publication stands": (_swapped_rows, {"first stands"}),
    "a hole in completions": (
        lambda e: replace(e, announced=[{**e.announced[0], "items": e.announced[0]["items"][1:]}]),
        {"announced"},
    ),
    "announced before a rollback": (_announced_otherwise, {"announced"}),
    "announced in an older generation only": (
        lambda e: replace(e, announced=[{**e.announced[0], "generation": 1}]),
        {"announced"},
    ),
    "a request missing": (lambda e: replace(e, requests=e.requests[1:]), {"requested"}),
    "a request too many": (
        lambda e: replace(e, requests=[*e.requests, request(7)]),
        {"requested"},
    ),
    "a request beyond N": (
        lambda e: replace(e, requests=[*e.requests, request(205)]),
        {"requested"},
    ),
    "counted once too often": (
        lambda e: _windows(e, dropped=e.counter.windows.dropped + 1),
        {"windows = N"},
    ),
    "counted once too seldom": (
        lambda e: _windows(e, expired=e.counter.windows.expired - 1),
        {"windows = N"},
    ),
    "a number unseen": (
        lambda e: replace(e, counter=replace(e.counter, seen=Intervals(((1, 150), (152, 200))))),
        {"windows = N"},
    ),
    "a number seen that is not": (
        lambda e: replace(e, counter=replace(e.counter, seen=Intervals(((1, 201),)))),
        {"windows = N"},
    ),
    "the counter of another generation": (
        lambda e: replace(e, counter=replace(e.counter, generation=1)),
        {"windows = N"},
    ),
    "a completion in another's window": (_moved_window, {"each window"}),
    "a row that names a forgotten learner": (lambda e: replace(e, named=["ada"]), {"erased"}),
    "a letter missing": (lambda e: replace(e, letters=e.letters[1:]), {"dead letters"}),
    "a letter for a good message": (
        lambda e: replace(e, letters=[*e.letters, letter_of(e.log[0])]),
        {"dead letters"},
    ),
    "a letter of another value": (
        _letters(lambda raw: raw._replace(value=(raw.value or b"") + b" ")),
        {"dead letters"},
    ),
    "a letter of another key": (
        _letters(lambda raw: raw._replace(key=b"another")),
        {"dead letters"},
    ),
    "a letter without a header": (
        _letters(lambda raw: raw._replace(headers=tuple(raw.headers)[1:])),
        {"dead letters"},
    ),
    "a letter that does not say why": (
        _letters(lambda raw: raw._replace(headers=tuple(raw.headers)[:-1])),
        {"dead letters"},
    ),
    "a letter from elsewhere": (
        _letters(
            lambda raw: raw._replace(
                headers=tuple(
                    (name, b"3" if name == "retrace.error.partition" else value)
                    for name, value in raw.headers
                ),
            )
        ),
        {"dead letters"},
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_is_found(what: str) -> None:
    change, checks = BROKEN[what]
    assert failed(change(GOOD)) == checks


def test_an_act_that_once_did_not_settle_fails() -> None:
    assert settled([True, True]).ok
    assert not settled([False, True]).ok
    assert not settled([]).ok


def test_every_check_is_seen_to_fail() -> None:
    named = {check(DUE, GOOD).name for check in CHECKS}
    assert named == set().union(*(checks for _, checks in BROKEN.values()))


def test_a_plan_follows_from_its_seed() -> None:
    assert plan.messages(3, 200, 20.0, BEGUN) == PLAN
    assert plan.messages(4, 200, 20.0, BEGUN) != PLAN
    assert plan.faults(3, 130.0) == plan.faults(3, 130.0) != plan.faults(4, 130.0)


def test_a_plan_holds_its_shares_in_order_and_on_time() -> None:
    kinds = [one.kind for one in PLAN]
    assert [kinds.count(kind) for kind in ("completion", "duplicate", "conflict", "garbage")] == [
        200, 6, 1, 4,
    ]  # fmt: skip
    assert [one.at for one in PLAN] == sorted(one.at for one in PLAN)
    at = {one.name: one.at for one in PLAN}
    assert len(at) == len(PLAN)
    assert all(one.after is None or at[one.after] <= one.at for one in PLAN)
    hits = plan.faults(1, 130.0)
    assert {hit.kind for hit in hits} == set(plan.FAULTS)
    assert all(0 < hit.at < 130 for hit in hits)


def test_what_is_planned_as_good_is_good_and_as_garbage_is_not() -> None:
    context = {"now": BEGUN + timedelta(seconds=60)}
    for one in plan.messages(5, 3000, 20.0, BEGUN):
        try:
            TaskCompleted.model_validate_json(one.value or b"", context=context)
            takes = len(one.value or b"") <= 16 * 1024
        except ValueError:
            takes = False
        assert takes == (one.kind != "garbage"), one.value


def test_garbage_can_be_told_apart() -> None:
    rng = random.Random(1)
    values = [garbage(n, f"g{n}", {"task_id": f"g{n}", "copy": n}, BEGUN, rng) for n in range(200)]
    assert len({value for value in values if value}) == sum(bool(value) for value in values)


def test_recovery_is_the_time_to_the_next_progress() -> None:
    samples = [
        Sample(1.0, 10, {"0": 5, "1": 5}),
        Sample(4.0, 10, {"0": 6, "1": 5}),
        Sample(6.0, 11, {"0": 7, "1": 5}),
        Sample(9.0, 12, {"0": 7, "1": 6}),
    ]
    assert next_progress(samples, 2.0) == 4.0
    assert all_progress(samples, 2.0) == 7.0
    assert next_progress(samples, 9.5) is None
    assert all_progress(samples, 9.5) is None


def test_a_fault_that_another_follows_has_no_recovery_of_its_own() -> None:
    samples = [Sample(1.0, 10, {}), Sample(6.0, 11, {}), Sample(9.0, 12, {})]
    first, second, third = (Fault("x", 2, 3), Fault("y", 4, 5), Fault("z", 7, 7))
    every = [first, second, third]
    assert alone(every, samples, every, next_progress) == [1.0, 2.0]
    assert alone(every, samples, [first], next_progress) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEED", "x"), ("SECONDS", "-1"), ("COMPLETIONS", "0"), ("ACTS", "fire,nope"),
        ("FAULTS", "nope"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_told_in_a_line(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CHAOS_{name}", value)
    with pytest.raises(ConfigurationError, match=f"^CHAOS_{name}: ") as told:
        asked.load()
    assert "\n" not in str(told.value)


def test_a_soak_publishes_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (asked.load().fire[0], asked.load().acts[0]) == (20_000, "fire")
    monkeypatch.setenv("CHAOS_SECONDS", "1300")
    monkeypatch.setenv("CHAOS_ACTS", "restored,fire")
    assert (asked.load().fire[0], asked.load().acts) == (200_000, ("restored", "fire"))
    monkeypatch.setenv("CHAOS_COMPLETIONS", "50")
    assert asked.load().fire[0] == 50
