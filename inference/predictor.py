"""A version's answers: the networks where they know the task's words, else LNIRT, else the
default, and why.

One ask can't disturb another of the same batch. Never imports TensorFlow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace

import numpy as np

from inference.beside import Beside
from inference.learners import Ask, Learners, milliseconds, rows_of
from inference.told import Answer, Cause, default, told
from schemas.errors import ArtifactError
from schemas.history import History
from streams.forgotten import NOBODY
from streams.history import NOTHING
from training.artifacts import Artifact
from training.metrics import take
from training.served import Opinion, Served

PORTION, TAKE_OVER_SECONDS = 16, 0.5

# The generation of the store's numbers, and the completions of each learner that are numbered after
# the given one; None while the store is away.
Reader = Callable[[Mapping[str, int]], tuple[int, History] | None]


class Predictor:
    """Answers from one verified version, or, without one, by default."""

    def __init__(
        self,
        artifact: Artifact | None,
        *,
        threads: int = 1,
        learners: int = 5000,
        beside: Beside | None = None,
    ) -> None:
        """``beside``: where the store is read while the networks work; without, that comes first.
        Raises ArtifactError where the version's files can't serve."""
        self._beside = beside
        self._served = None if artifact is None else Served(artifact, threads=threads)
        self._learners = None if self._served is None else Learners(self._served, learners)
        self._generation = 0

    def warm(self) -> None:
        """Learns and answers once; raises ArtifactError where the version can't."""
        if self._served is None:
            return
        words = (self._served.encoder.topics, self._served.encoder.difficulties)
        topic, difficulty = (each.names[0] if len(each) else "" for each in words)
        try:
            ask = Ask("", topic, difficulty, 0.0)
            Learners(self._served, 1).learn(rows_of([ask]))
            (answer,) = self.answer([ask], lambda _: (0, NOTHING))
        except Exception as error:
            line = " ".join(str(error).split())
            raise ArtifactError(f"The version's networks don't run: {line}") from error
        if answer.source == "default":
            raise ArtifactError(f"The version can't answer: {answer.reason}.")

    @property
    def learners_held(self) -> int:
        """How many learners' states are in memory."""
        return 0 if self._learners is None else len(self._learners)

    def holds(self, user: str) -> bool:
        """Whether something is held of this learner."""
        return self._learners is not None and self._learners.last(user) > 0

    def learn_of(self, users: Sequence[str], read: Reader) -> None:
        """Learn what is newer of those among these few who are held, as far as that is soon done;
        the rest is for their next ask."""
        if self._learners is None:
            return
        held = {user: last for user in users if (last := self._learners.last(user))}
        new = read(held) if held else None
        if new is not None and new[0] == self._generation:
            self._learners.follow(new[1])

    def drop(self, forgotten: Container[str]) -> None:
        """Hold nothing any more of who is forgotten."""
        if self._learners is not None:
            self._learners.drop([user for user in self._learners.users() if user in forgotten])

    def as_unknown(self, asks: Sequence[Ask]) -> list[Answer]:
        """One answer an ask, whose learners are forgotten: as of nobody's, without a history."""
        asks = [replace(ask, user_id=NOBODY) for ask in asks]
        found = self.predict(asks, [NOTHING] * len(asks))
        return [
            replace(answer, reason=f"forgotten learner, {answer.reason}", cause="learner-forgotten")
            for answer in found
        ]

    def words(self) -> list[tuple[str, str]]:
        """Every topic with every difficulty that the version knows."""
        if self._served is None:
            return []
        encoder = self._served.encoder
        return [(t, d) for t in encoder.topics.names for d in encoder.difficulties.names]

    def take_over(self, other: Predictor, read: Reader) -> None:
        """Learn about those whom ``other`` holds, who was asked about last first, for a moment;
        the rest follow when they are asked about."""
        if self._learners is None or other._learners is None:
            return
        until = time.monotonic() + TAKE_OVER_SECONDS
        users = other._learners.users()[::-1]
        for first in range(0, len(users), PORTION):
            if not self._catch_up(set(users[first : first + PORTION]), read):
                return
            if time.monotonic() > until:
                return

    def answer(self, asks: Sequence[Ask], read: Reader) -> list[Answer]:
        """One answer an ask, from what is held of the learners and what is newer in the store."""
        if self._served is None or self._learners is None or not asks:
            return [default("no model yet", "no-model") for _ in asks]
        said, here = self._said(asks, read)
        found = [self._held_answer(ask, said, at, here) for at, ask in enumerate(asks)]
        unsettled = [at for at, ask in enumerate(asks) if not self._learners.is_settled(ask)]
        whole = read({asks[at].user_id: 0 for at in unsettled}) if unsettled and here else None
        if whole is not None:
            early = [asks[at] for at in unsettled]
            pasts = [take(whole[1], whole[1].users == ask.user_id) for ask in early]
            for at, answer in zip(unsettled, self.predict(early, pasts), strict=True):
                found[at] = answer
        return found

    def _said(self, asks: Sequence[Ask], read: Reader) -> tuple[Opinion, bool]:
        """What the version says after all that is newer, and whether the store could be read.

        Most often nothing is newer: what is said of held learners is worked out while the store is
        asked, and again where something was.
        """
        assert self._learners is not None
        users = {ask.user_id for ask in asks}
        if self._beside is None or not all(map(self.holds, users)):
            here = self._catch_up(users, read)
            return self._learners.opinion(asks), here
        result = self._beside.begin(read, {user: self._learners.last(user) for user in users})
        try:
            said = self._learners.opinion(asks)
        finally:
            new = result()
        if new is None or (new[0] == self._generation and not len(new[1])):
            return said, new is not None
        here = self._learn(new, users, read)
        return self._learners.opinion(asks), here

    def _catch_up(self, users: set[str], read: Reader) -> bool:
        """Learn what is newer of these learners; whether the store could be read.

        Whole histories come in portions, so that they never take much memory together.
        """
        assert self._learners is not None
        cold = [user for user in users if not self._learners.last(user)]
        portions = [users.difference(cold[PORTION:])]
        portions += [set(cold[at : at + PORTION]) for at in range(PORTION, len(cold), PORTION)]
        return all(self._catch_up_with(some, users, read) for some in portions)

    def _catch_up_with(self, some: set[str], asked: set[str], read: Reader) -> bool:
        assert self._learners is not None
        new = read({user: self._learners.last(user) for user in some})
        return new is not None and self._learn(new, asked, read)

    def _learn(self, new: tuple[int, History], asked: set[str], read: Reader) -> bool:
        """Learn this, or all anew where it is of another generation; whether the store could be
        read for the latter."""
        assert self._learners is not None
        if new[0] != self._generation:
            self._learners.forget_all()
            self._generation = new[0]
            return self._catch_up(asked, read)
        again = self._learners.learn(new[1], asked)
        if not again:
            return True
        whole = read(dict.fromkeys(again, 0))
        if whole is not None:
            self._learners.learn(whole[1], asked)
        return whole is not None

    def _held_answer(self, ask: Ask, said: Opinion, at: int, here: bool) -> Answer:
        assert self._learners is not None
        past = self._learners.completions(ask.user_id)
        if here:
            return self._answer(ask, said, at, past)
        if past:
            answer = self._answer(ask, said, at, past)
            reason = f"store unavailable, {answer.reason}"
            return replace(answer, reason=reason, cause="store-away")
        lnirt = tuple(said.lnirt[at].tolist())
        return told(lnirt, "lnirt", ("store unavailable", "store-away"), 0)

    def without_groups(self, ask: Ask, past: History) -> dict[str, Answer]:
        """Answers to an ask after these completions, without each group of inputs."""
        if self._served is None:
            return {}
        alone = Learners(self._served, 1)
        if len(past):
            alone.learn(past)
        names, said = alone.opinions_without(ask)
        return {name: self._answer(ask, said, at, len(past)) for at, name in enumerate(names)}

    def predict(self, asks: Sequence[Ask], histories: Sequence[History]) -> list[Answer]:
        """One answer an ask; ``histories`` are each learner's own completions, maybe none."""
        if self._served is None or not asks:
            return [default("no model yet", "no-model") for _ in asks]
        pasts = [_before(ask, past) for ask, past in zip(asks, histories, strict=True)]
        lengths = np.array([len(past) + 1 for past in pasts])
        rows = np.cumsum(lengths) - 1
        pairs = zip(pasts, (rows_of([ask]) for ask in asks), strict=True)
        joined = _joined([part for pair in pairs for part in pair])
        said = self._served.predict(joined, rows, np.repeat(np.arange(len(asks)), lengths))
        known = [_known(ask, past) for ask, past in zip(asks, pasts, strict=True)]
        return [self._answer(ask, said, at, known[at]) for at, ask in enumerate(asks)]

    def _answer(self, ask: Ask, said: Opinion, at: int, past: int) -> Answer:
        numbers = (said.p[at], said.mu[at], said.sigma[at])
        source = "lstm" if said.network[at] else "lnirt"
        lnirt = tuple(said.lnirt[at].tolist())
        return told(numbers, source, self._reason(ask, said, at, past), past, lnirt)

    def _reason(self, ask: Ask, said: Opinion, at: int, past: int) -> tuple[str, Cause]:
        assert self._served is not None
        reads = f"reads {past} of this learner's"
        if not said.known_topic[at]:
            return f"unknown topic, {reads}", "topic-unknown"
        if not said.known_difficulty[at]:
            return f"unknown difficulty, {reads}", "difficulty-unknown"
        if not said.network[at]:
            return f"the networks gave no finite number, {reads}", "not-finite"
        trained = f"trained on {self._served.completions} completions"
        if self._served.encoder.users.index(ask.user_id):
            return f"{trained}, {reads}", "trained"
        return f"{trained}, learner not seen in training, {reads}", "learner-unseen"


def _before(ask: Ask, past: History) -> History:
    """What the learner had started by the time of the ask."""
    return take(past, np.rint(past.started_at * 1000) <= milliseconds(ask.started_at))


def _known(ask: Ask, past: History) -> int:
    """How many of these were completed by the time of the ask."""
    return int((np.rint(past.completed_at * 1000) <= milliseconds(ask.started_at)).sum())


def _joined(parts: Sequence[History]) -> History:
    names = History.__dataclass_fields__
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return History(**joined)
