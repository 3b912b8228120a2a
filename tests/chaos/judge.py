"""PURE: the contract's counting guarantees, checked on what was read from topics and store."""

from __future__ import annotations

import json
from collections import Counter as Tally
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from schemas.codec import ERROR_PREFIX, Raw
from streams.forgotten import NOBODYS_CLAIM, Forgotten, seal_task
from streams.windows import Rule
from tests.chaos.evidence import Evidence
from tests.chaos.plan import MARK, Planned

FACTS = ("topic", "partition", "offset", "stage", "class", "message", "at", "attempts")
CLAIM = ("user_id", "topic", "difficulty", "is_correct", "actual_time_seconds")
Place = tuple[int, int]


@dataclass(frozen=True)
class Check:
    """``missing`` and ``extra``: how much was not there, and how much was there unasked."""

    name: str
    missing: int = 0
    extra: int = 0
    detail: str = ""

    @property
    def ok(self) -> bool:
        return not self.missing and not self.extra


@dataclass(frozen=True)
class Truth:
    """What must come out. ``tasks``: claim and time by task id; ``published``: in this log;
    ``before``: the numbers up to this one were announced into a log that is gone."""

    published: dict[str, Planned]
    tasks: dict[str, tuple[tuple[object, ...], datetime]] = field(default_factory=dict)
    before: int = 0
    every: int = 5
    rule: Rule = field(default_factory=Rule)

    @property
    def numbers(self) -> set[int]:
        return set(range(1, len(self.tasks) + 1))

    def without(self, forgotten: Forgotten) -> Truth:
        """With the tasks of forgotten learners as nobody's."""
        tasks = {}
        for task_id, (claim, at) in self.tasks.items():
            salt = forgotten.salt_of(str(claim[0]))
            if salt is None:
                tasks[task_id] = (claim, at)
            else:
                tasks[seal_task(salt, task_id)] = (NOBODYS_CLAIM, at)
        return replace(self, tasks=tasks)

    def lacking(self, announced: set[int]) -> set[int]:
        """Numbers that this log must hold and does not."""
        return {number for number in self.numbers - announced if number > self.before}


def truth(published: Sequence[Planned], earlier: Sequence[Planned] = ()) -> Truth:
    """From what was published into this log, and what the store held before it began."""
    firsts = [one for one in (*earlier, *published) if one.kind == "completion"]
    before = sum(one.kind == "completion" for one in earlier)
    return Truth({one.name: one for one in published}, dict(map(_task, firsts)), before)


def judge(truth: Truth, evidence: Evidence) -> list[Check]:
    """Every check, in the order of the flow."""
    due = truth.without(evidence.forgotten)
    return [check(due, evidence) for check in CHECKS]


def settled(came: Sequence[bool]) -> Check:
    """Each time the load paused, everything was read and counted before patience ended."""
    return Check("settled", came.count(False) if came else 1)


def _task(first: Planned) -> tuple[str, tuple[tuple[object, ...], datetime]]:
    value = json.loads(first.value or b"")
    at = datetime.fromisoformat(value["completed_at"])
    return value["task_id"], (tuple(value[name] for name in CLAIM), at)


def published(truth: Truth, evidence: Evidence) -> Check:
    """The load itself: every publication is in the log as it was sent, and nothing else is."""
    seen = {mark(raw) for raw in evidence.log if _as_sent(truth, raw)}
    strange = sum(not _as_sent(truth, raw) for raw in evidence.log)
    missing = truth.published.keys() - seen
    return Check("published", len(missing), strange, _some(missing))


def read(truth: Truth, evidence: Evidence) -> Check:
    """Recording stands at the end of the log."""
    behind = {p: end - evidence.positions.get(p, 0) for p, end in evidence.ends.items()}
    return Check("read to the end", sum(max(0, n) for n in behind.values()), detail=str(behind))


def recorded(truth: Truth, evidence: Evidence) -> Check:
    """Each valid task is in the store once."""
    held = Tally(row.task_id for row in evidence.rows)
    lost = truth.tasks.keys() - held.keys()
    more = held.total() - len(truth.tasks.keys() & held.keys())
    return Check("recorded once", len(lost), more, _some(lost))


def numbered(truth: Truth, evidence: Evidence) -> Check:
    """Numbers are 1 … N without a gap, and the counter's row says N."""
    held = Tally(row.number for row in evidence.rows)
    gaps = truth.numbers - held.keys()
    more = held.total() - len(truth.numbers & held.keys())
    wrong = evidence.last_number != len(truth.tasks)
    return Check("numbered 1 … N", len(gaps), more + wrong, f"last {evidence.last_number}")


def first_stands(truth: Truth, evidence: Evidence) -> Check:
    """What a task was first published with is what the store holds."""
    wrong = [
        row.task_id
        for row in evidence.rows
        if row.task_id in truth.tasks and (row.claim, row.completed_at) != truth.tasks[row.task_id]
    ]
    return Check("first stands", extra=len(wrong), detail=_some(wrong))


def announced(truth: Truth, evidence: Evidence) -> Check:
    """``completions`` holds every number of this generation, each with the store's time."""
    times = {row.number: row.completed_at for row in evidence.rows}
    items = [
        (item["number"], datetime.fromisoformat(item["completed_at"]))
        for event in evidence.announced
        if event["generation"] == evidence.generation
        for item in event["items"]
    ]
    wrong = {number for number, at in items if times.get(number) != at}
    missing = truth.lacking({number for number, _ in items})
    return Check("announced", len(missing), len(wrong), f"otherwise dated: {_some(wrong)}")


def requested(truth: Truth, evidence: Evidence) -> Check:
    """The distinct count requests are count-5 … count-5⌊N/5⌋."""
    found = {r["request_id"] for r in evidence.requests if r["trigger"] == "count"}
    due = {n for n in truth.numbers if n % truth.every == 0}
    lacking = truth.lacking({n for n in truth.numbers if f"count-{n}" in found}) & due
    beyond = found - {f"count-{n}" for n in due}
    words = _some(beyond | {f"count-{n}" for n in lacking})
    return Check("requested", len(lacking), len(beyond), words)


def counted(truth: Truth, evidence: Evidence) -> Check:
    """The counter has seen 1 … N of this generation; dropped + kept + expired = N."""
    counter = evidence.counter
    if counter.generation != evidence.generation:
        return Check("windows = N", len(truth.tasks), detail="another generation's")
    unseen = sum(number not in counter.seen for number in truth.numbers)
    beyond = len(counter.seen) - (len(truth.numbers) - unseen)
    more = counter.windows.total - len(truth.tasks)
    words = f"{counter.windows.total} in windows, {len(counter.seen)} seen"
    return Check("windows = N", max(unseen, -more, 0), max(beyond, more, 0), words)


def windowed(truth: Truth, evidence: Evidence) -> Check:
    """Each window that cannot have expired holds exactly the completions of its minute.

    The watermark only grows, so what is not expired at the end never was.
    """
    windows, rule = evidence.counter.windows, truth.rule
    watermark = max((at.timestamp() for _, at in truth.tasks.values()), default=0.0)
    starts = Tally(rule.start(at) for _, at in truth.tasks.values())
    due = Tally({s: n for s, n in starts.items() if not rule.is_expired(s, watermark)})
    held = Tally(dict(windows.counts))
    gone = windows.dropped + windows.expired
    rest = len(truth.tasks) - due.total()
    words = f"{len(due)} windows, late {windows.late}, expired and dropped {gone} of {rest}"
    return Check("each window", (due - held).total(), (held - due).total(), words)


def buried(truth: Truth, evidence: Evidence) -> Check:
    """Each bad message of the log is in dead-letters, byte for byte; nothing else is.

    What contradicts a completion is a duplicate once its learner is forgotten.
    """
    bad = {
        (raw.partition, raw.offset): raw
        for raw in evidence.log
        if (one := truth.published.get(mark(raw))) and one.kind in ("garbage", "conflict")
    }
    found = {place for letter in evidence.letters if (place := _matches(letter, bad))}
    wrong = [letter for letter in evidence.letters if not _matches(letter, bad)]
    owed = bad.keys() - found
    owed -= {p for p in owed if _is_nobodys(truth.published[mark(bad[p])], evidence.forgotten)}
    missing = {mark(bad[place]) for place in owed}
    detail = _some(missing) + (f"; not asked for: {_some(map(mark, wrong))}" if wrong else "")
    return Check("dead letters", len(owed), len(wrong), detail)


def _is_nobodys(one: Planned, forgotten: Forgotten) -> bool:
    return one.kind == "conflict" and json.loads(one.value or b"")["user_id"] in forgotten


def erased(truth: Truth, evidence: Evidence) -> Check:
    """No row names a learner who is forgotten."""
    return Check("erased", extra=len(evidence.named), detail=_some(evidence.named))


CHECKS: tuple[Callable[[Truth, Evidence], Check], ...] = (
    published, read, recorded, numbered, first_stands, announced, requested, counted, windowed,
    buried, erased,
)  # fmt: skip


def mark(raw: Raw) -> str:
    """The name of the publication that a message is a copy of."""
    return (dict(raw.headers).get(MARK) or b"").decode(errors="replace")


def _as_sent(truth: Truth, raw: Raw) -> bool:
    one = truth.published.get(mark(raw))
    return one is not None and (raw.key, raw.value, tuple(raw.headers)) == (
        one.key, one.value, one.headers,
    )  # fmt: skip


def _matches(letter: Raw, bad: dict[Place, Raw]) -> Place | None:
    """The place of the bad message that this letter is, with the words about what is wrong."""
    facts = dict(letter.headers[-len(FACTS) :])
    if tuple(facts) != tuple(ERROR_PREFIX + name for name in FACTS):
        return None
    where = (facts[ERROR_PREFIX + name] or b"" for name in ("partition", "offset"))
    place = tuple(int(text) if text.isdigit() else -1 for text in where)
    raw = bad.get((place[0], place[1]))
    if raw is None or facts[ERROR_PREFIX + "topic"] != raw.topic.encode():
        return None
    received = tuple(letter.headers[: -len(FACTS)])
    same = (letter.key, letter.value, received) == (raw.key, raw.value, tuple(raw.headers))
    return (place[0], place[1]) if same else None


def _some(names: object) -> str:
    found = sorted(map(str, names))  # type: ignore[call-overload]
    return ", ".join(found[:5]) + (f" … {len(found)} in all" if len(found) > 5 else "")
