"""A version's answers: the networks where they know the task's words, else the default, and why.

One ask can't disturb another of the same batch. Never imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from schemas.errors import ArtifactError
from schemas.history import History
from training.artifacts import Artifact
from training.metrics import Z_80
from training.sequences import Batch, Encoder, Steps, batches, with_task

P_RANGE = (0.01, 0.99)
SECONDS_RANGE = (5.0, 600.0)
DEFAULT_P = 0.5
DEFAULT_SECONDS = 60.0
MODELS = ("correctness", "time")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ask:
    """Which task a learner starts, and when (Unix seconds)."""

    user_id: str
    topic: str
    difficulty: str
    started_at: float


@dataclass(frozen=True)
class Answer:
    """Times in seconds, low ≤ expected ≤ high, the ends of the 80 % interval; ``history_length``
    counts the completed tasks that the answer is based on."""

    p_correct: float
    expected_seconds: float
    seconds_low: float
    seconds_high: float
    source: str
    reason: str
    history_length: int


def default(reason: str) -> Answer:
    return Answer(DEFAULT_P, DEFAULT_SECONDS, *SECONDS_RANGE, "default", reason, 0)


class Predictor:
    """Answers from one verified version, or, without one, by default."""

    def __init__(self, artifact: Artifact | None, *, threads: int = 1) -> None:
        """Raises ArtifactError where the version's files can't serve."""
        self._graphs: dict[str, _Graph] = {}
        if artifact is None:
            return
        try:
            self._encoder = Encoder.from_dict(artifact.metadata["encoder"])
            self._sigma = float(artifact.metadata["sigma"])
            self._completions = int(artifact.metadata["completions"])
            contents = {name: artifact.files[f"{name}.onnx"] for name in MODELS}
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{artifact.path} lacks what serving needs: {error}.") from error
        for name, content in contents.items():
            self._graphs[name] = _Graph(artifact.path, name, content, threads)

    def warm(self) -> None:
        """Runs both networks once; raises ArtifactError where they don't run."""
        if not self._graphs:
            return
        nothing = np.zeros(1, dtype=np.int64)
        steps = Steps(nothing - 1, nothing, nothing, nothing, np.zeros(1, dtype=np.float32))
        try:
            self._run([steps])
        except Exception as error:
            raise ArtifactError(f"The version's networks don't run: {_line(error)}") from error

    def predict(self, asks: Sequence[Ask], histories: Sequence[History]) -> list[Answer]:
        """One answer an ask; ``histories`` are each learner's own completions, maybe none."""
        answers = [default(self._refusal(ask)) for ask in asks]
        known = [at for at, answer in enumerate(answers) if not answer.reason]
        steps = [self._steps(asks[at], histories[at]) for at in known]
        for at, task, p, seconds in zip(known, steps, *self._run(steps), strict=True):
            answers[at] = self._answer(p, seconds, len(task) - 1)
        return answers

    def _refusal(self, ask: Ask) -> str:
        """Why the networks can't answer; empty where they can."""
        if not self._graphs:
            return "no model yet"
        if not self._encoder.users.index(ask.user_id):
            return "learner not seen in training"
        if not self._encoder.topics.index(ask.topic):
            return "unknown topic"
        if not self._encoder.difficulties.index(ask.difficulty):
            return "unknown difficulty"
        return ""

    def _steps(self, ask: Ask, past: History) -> Steps:
        return with_task(
            past, self._encoder, ask.user_id, ask.topic, ask.difficulty, ask.started_at
        )

    def _run(self, steps: list[Steps]) -> tuple[Floats, Floats]:
        """Probability and median seconds of each sequence's last step."""
        outputs = {name: np.full(len(steps), np.nan) for name in MODELS}
        for batch in batches(steps):
            last = batch.mask.sum(axis=1).astype(np.int64) - 1
            for name, graph in self._graphs.items():
                outputs[name][batch.members] = graph.run(batch)[np.arange(len(last)), last]
        return outputs["correctness"], outputs["time"]

    def _answer(self, p: float, seconds: float, past: int) -> Answer:
        if not np.isfinite([p, seconds]).all():
            return default("the networks gave no finite number")
        spread = np.exp(Z_80 * self._sigma)
        low, middle, high = np.clip([seconds / spread, seconds, seconds * spread], *SECONDS_RANGE)
        reason = f"trained on {self._completions} completions, reads {past} of this learner's"
        return Answer(
            float(np.clip(p, *P_RANGE)),
            float(middle),
            float(low),
            float(high),
            "lstm",
            reason,
            past,
        )


class _Graph:
    """One ONNX network, run from zero states."""

    def __init__(self, path: str, name: str, content: bytes, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ArtifactError(f"{path}/{name}.onnx can't be loaded: {_line(error)}") from error
        shapes = {tensor.name: tensor.shape for tensor in self._session.get_inputs()}
        self._states = {key: shapes[key][-1] for key in ("h1", "c1", "h2", "c2")}

    def run(self, batch: Batch) -> NDArray[Any]:
        """The output of every step, [B, T]."""
        learners = len(batch.members)
        states = {
            key: np.zeros((learners, units), np.float32) for key, units in self._states.items()
        }
        return np.asarray(self._session.run(["output"], batch.inputs | states)[0])


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
