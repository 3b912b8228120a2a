"""What is held of learners: the states of features and networks after their completions.

A cache of arithmetic for one version; the store is the truth. A completion costs the same however
long the history is. Bounded: who was not asked about for longest goes first.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from schemas.history import History
from streams import history as store
from training.features import SCOPES, Memory, Starts, Tasks
from training.metrics import take
from training.sequences import MAX_STEPS, MOST_DIFFICULTIES, MOST_TOPICS, Inputs, glance, walk
from training.served import Opinion, Served, States, nothing_read
from training.shapes import MODELS

NEVER = -(2**62)
BLANK = 0  # the slot, and the row of a scope, of which nothing is known
FIRST_SLOTS, FIRST_ROWS = 64, 2048
FEW = 8  # completions that are learned soon
KEYS = (MOST_TOPICS + 1) * (MOST_DIFFICULTIES + 1) * len(SCOPES)  # more than any scope's key
GROUPS = (WHO, TOPIC, DIFFICULTY, ABILITY, ORDER) = (
    "which learner it is",
    "what was done in this topic",
    "what was done at this difficulty",
    "estimated ability and speed, and the last answer",
    "the order of all that was done",
)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Ask:
    """Which task a learner starts, and when (Unix seconds)."""

    user_id: str
    topic: str
    difficulty: str
    started_at: float


@dataclass
class Held:
    """A learner: ``last`` number and how many completions are in the states at ``slot``; from
    ``settled`` (milliseconds) on a start finds all of them completed.

    ``keys`` of his scopes, sorted, and their ``rows``: dicts would take as much as the states.
    """

    slot: int
    last: int = 0
    completions: int = 0
    settled: int = NEVER
    keys: array[int] = field(default_factory=lambda: array("i"))
    rows: array[int] = field(default_factory=lambda: array("i"))

    def row(self, key: int) -> int:
        """The row of a scope; BLANK where there is none."""
        at = bisect_left(self.keys, key)
        return self.rows[at] if at < len(self.keys) and self.keys[at] == key else BLANK

    def add(self, key: int, row: int) -> None:
        """A row for a scope that has none."""
        at = bisect_left(self.keys, key)
        self.keys.insert(at, key)
        self.rows.insert(at, row)


class Learners:
    """The learners held for one version. Not for use from several threads at once."""

    def __init__(self, served: Served, most: int) -> None:
        self.served, self.most = served, most
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._memory = Memory(served.lnirt, FIRST_SLOTS, FIRST_ROWS)
        self._states = {name: dict(nothing_read(FIRST_SLOTS)) for name in MODELS}
        self._slots = list(range(FIRST_SLOTS - 1, BLANK, -1))
        self._rows = list(range(FIRST_ROWS - 1, BLANK, -1))

    def __len__(self) -> int:
        return len(self._held)

    def users(self) -> list[str]:
        """Who is held; who was asked about last stands last."""
        return list(self._held)

    def last(self, user: str) -> int:
        """The number of the newest completion that is held of a learner; 0 for none."""
        held = self._held.get(user)
        return 0 if held is None else held.last

    def completions(self, user: str) -> int:
        """How many completions are held of a learner."""
        held = self._held.get(user)
        return 0 if held is None else held.completions

    def is_settled(self, ask: Ask) -> bool:
        """Whether all that is held of the learner was completed by the time of the ask."""
        held = self._held.get(ask.user_id)
        return held is None or milliseconds(ask.started_at) >= held.settled

    def learn(self, new: History, asked: Collection[str] = ()) -> list[str]:
        """Advance by these learners' completions after ``last``, up to the newest of each.

        None of ``asked`` goes to make room, even where more are asked about than may be held.
        What does not follow on what is held is not learned: those learners are forgotten and
        returned, to be learned from their first completion on.
        """
        again, follows = self._apart(new, MAX_STEPS - 1)
        self.drop(again)
        if len(follows):
            self._learn(follows, asked)
        return again

    def follow(self, new: History) -> None:
        """Advance these held learners by what takes no long time: up to ``FEW`` completions that
        follow on what is held. Who has others stays as he is."""
        _, follows = self._apart(new, FEW)
        if len(follows):
            self._learn(follows, ())

    def _apart(self, new: History, most: int) -> tuple[list[str], History]:
        """Who is held but has more new completions, or some that don't follow on what is held; and
        the completions of the others."""
        if not len(new):
            return [], new
        users, whose = np.unique(new.users.astype(str), return_inverse=True)
        started = np.rint(new.started_at * 1000.0).astype(np.int64)
        apart = []
        for index, user in enumerate(users.tolist()):
            held, mine = self._held.get(user), whose == index
            if held is not None and (started[mine].min() < held.settled or mine.sum() > most):
                apart.append(user)
        return apart, take(new, np.flatnonzero(~np.isin(users[whose], apart)))

    def opinion(self, asks: Sequence[Ask]) -> Opinion:
        """What the version says of these tasks, after all that is held of their learners."""
        tasks, places = self._found(asks)
        for ask in asks:
            if ask.user_id in self._held:
                self._held.move_to_end(ask.user_id)
        return self._said(tasks, places, tasks.learner)

    def opinions_without(self, ask: Ask) -> tuple[tuple[str, ...], Opinion]:
        """Groups of inputs, and what the version would say without each of them."""
        tasks, places = self._found([ask] * len(GROUPS))
        states = tasks.learner.copy()
        tasks.user[GROUPS.index(WHO)] = 0
        places[GROUPS.index(TOPIC), [1, 3]] = BLANK
        places[GROUPS.index(DIFFICULTY), 2] = BLANK
        tasks.learner[GROUPS.index(ABILITY)] = BLANK
        states[GROUPS.index(ORDER)] = BLANK
        return GROUPS, self._said(tasks, places, states)

    def _found(self, asks: Sequence[Ask]) -> tuple[Starts, Ints]:
        """Asks as starts of slots, and the rows of their scopes [m, 4]."""
        held = [self._held.get(ask.user_id) for ask in asks]
        slots = np.array([BLANK if one is None else one.slot for one in held], dtype=np.int64)
        tasks = self.served.encoder.starts(
            slots,
            [ask.user_id for ask in asks],
            [ask.topic for ask in asks],
            [ask.difficulty for ask in asks],
            np.array([ask.started_at for ask in asks]),
        )
        places = np.zeros((len(asks), len(SCOPES)), dtype=np.int64)
        for line, (one, keys) in enumerate(zip(held, _keys(tasks).tolist(), strict=True)):
            if one is not None:
                places[line] = [one.row(key) for key in keys]
        return tasks, places

    def _said(self, tasks: Starts, places: Ints, states: Ints) -> Opinion:
        inputs = glance(self._memory, tasks, places, self.served.encoder)
        return self.served.step(inputs, self._of(states))

    def drop(self, users: Iterable[str]) -> None:
        """Hold nothing of these any more."""
        for user in users:
            self._forget(user)

    def forget_all(self) -> None:
        """For a store whose numbers mean something else than before."""
        self.drop(list(self._held))

    def _learn(self, new: History, asked: Collection[str]) -> None:
        users = set(new.users.tolist())
        self._make_room(users, users.union(asked))
        held = {user: self._held.get(user) or self._begin(user) for user in users}
        slots = np.array([held[user].slot for user in new.users.tolist()], dtype=np.int64)
        tasks = self.served.encoder.tasks(new, slots)
        inputs = walk(self._memory, tasks, self._places(tasks, held.values()), self.served.encoder)
        order = np.lexsort((np.arange(len(tasks)), tasks.started, tasks.learner))
        lines = np.split(order, np.flatnonzero(np.diff(tasks.learner[order])) + 1)
        self._run(tasks, inputs, lines)
        settled = tasks.completed + (tasks.completed == tasks.started)
        for line in lines:
            one = held[new.users[line[0]]]
            one.last = max(one.last, int(new.numbers[line].max()))
            one.settled = max(one.settled, int(settled[line].max()))
            one.completions += len(line)

    def _places(self, tasks: Tasks, held: Iterable[Held]) -> Ints:
        """The rows of each task's scopes [n, 4], new ones where a learner comes to it first."""
        of = {one.slot: one for one in held}
        wanted, again = np.unique(tasks.learner[:, None] * KEYS + _keys(tasks), return_inverse=True)
        pairs = (divmod(each, KEYS) for each in wanted.tolist())
        rows = np.array([self._row(of[slot], key) for slot, key in pairs], dtype=np.int64)
        return rows[again].reshape(len(tasks), len(SCOPES))

    def _row(self, held: Held, key: int) -> int:
        return held.row(key) or self._add_row(held, key)

    def _run(self, tasks: Tasks, inputs: Inputs, lines: Sequence[Ints]) -> None:
        """The networks over each learner's new tasks, side by side as far as they go together."""
        done = 0
        for length in sorted({len(line) for line in lines}):
            rows = np.stack([line[done:length] for line in lines if len(line) >= length])
            slots = tasks.learner[rows[:, 0]]
            after = self.served.advance(inputs, rows, self._of(slots))
            for name, state in after.items():
                for part, values in state.items():
                    self._states[name][part][slots] = values
            done = length

    def _of(self, slots: Ints) -> States:
        return {
            name: {part: values.take(slots, axis=0) for part, values in state.items()}
            for name, state in self._states.items()
        }

    def _begin(self, user: str) -> Held:
        held = self._held[user] = Held(self._slots.pop())
        return held

    def _add_row(self, held: Held, key: int) -> int:
        if not self._rows:
            first = len(self._memory.facts)
            self._memory.make_room(0, grown(first))
            self._memory.forget(slice(0, 0), slice(first, None))
            self._rows = list(range(grown(first) - 1, first - 1, -1))
        row = self._rows.pop()
        held.add(key, row)
        return row

    def _make_room(self, users: set[str], staying: set[str]) -> None:
        """Slots for these learners; others go, those first who were not asked about for longest."""
        new = sum(user not in self._held for user in users)
        surplus = max(0, len(self._held) + new - self.most)
        others = (user for user in self._held if user not in staying)
        for user in list(islice(others, surplus)) if surplus else ():
            self._forget(user)
        while len(self._slots) < new:
            first = len(self._memory.session)
            self._memory.make_room(grown(first), 0)
            self._memory.forget(slice(first, None), slice(0, 0))
            for state in self._states.values():
                for values in state.values():  # in place, and zeros where it grows
                    values.resize((grown(first), values.shape[1]), refcheck=False)
            self._slots += range(grown(first) - 1, first - 1, -1)

    def _forget(self, user: str) -> None:
        held = self._held.pop(user)
        rows = held.rows.tolist()
        self._memory.forget(held.slot, rows)
        for state in self._states.values():
            for values in state.values():
                values[held.slot] = 0.0
        self._slots.append(held.slot)
        self._rows += rows


def rows_of(asks: Sequence[Ask]) -> History:
    """Asks as rows; their outcomes and durations never enter."""
    return store.columns(
        [
            (2**62, a.user_id, a.topic, a.difficulty, a.started_at, a.started_at, False, 1.0, False)
            for a in asks
        ]
    )


def grown(size: int) -> int:
    """A larger size, by an eighth: what is not used yet takes memory too."""
    return size + size // 8


def milliseconds(at: float) -> int:
    return round(at * 1000.0)


def _keys(tasks: Starts) -> Ints:
    """A number for each scope of each task [n, 4], the same for the same words."""
    keys = np.zeros((len(tasks), len(SCOPES)), dtype=np.int64)
    keys[:, 1], keys[:, 2] = tasks.topic, tasks.difficulty
    keys[:, 3] = tasks.topic * (MOST_DIFFICULTIES + 1) + tasks.difficulty
    return keys * len(SCOPES) + np.arange(len(SCOPES))
