"""A version's opinion of tasks, from its files alone: what serving answers and evaluation scores.

The networks' probability and LNIRT's are mixed; where the networks do not know a topic or a
difficulty, or give no finite number, LNIRT answers. Never imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from scipy.special import expit

from schemas.errors import ArtifactError
from schemas.history import History
from training import artifacts
from training.artifacts import Artifact
from training.features import Tasks
from training.lnirt import Lnirt
from training.mixture import Mixture, middle
from training.record import Record
from training.sequences import Encoder, Inputs, batches, replay, sequences
from training.shapes import MODELS, STATES, inputs_of

GRAPHS = {name: f"{name}.onnx" for name in MODELS}
RECORD = "record.npy"
# Where each network's outputs stand side by side; the prior's stay NaN where there is none.
WHERE = {
    "correctness": {"linear": slice(0, 1), "prior": slice(3, 4)},
    "time": {"linear": slice(1, 3), "prior": slice(4, 5)},
}
SAID, LOGITS = 5, slice(0, 4, 3)
LEARNED_FROM, GENERATION = "learned_from", "generation"

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
State = Mapping[str, NDArray[np.float32]]
States = Mapping[str, State]


@dataclass(frozen=True)
class Opinion:
    """What a version says of n tasks, columns of length n.

    ``p``, ``mu``, ``sigma``: as served, the last two of log seconds. ``network``: whether the
    networks have a part in it. ``alone`` and ``lnirt`` are [n, 3] each: p, mu, sigma of the
    networks alone and of LNIRT alone; ``prior`` the wide part's p and mu [n, 2], NaN without one.
    """

    p: Floats
    mu: Floats
    sigma: Floats
    network: Bools
    known_topic: Bools
    known_difficulty: Bools
    alone: Floats
    lnirt: Floats
    prior: Floats


class Served:
    """One verified version, ready to answer."""

    def __init__(self, artifact: Artifact, *, threads: int = 1) -> None:
        """Raises ArtifactError where the version's files can't serve."""
        self.path = artifact.path
        try:
            data = artifact.metadata
            self.encoder = Encoder.from_dict(data["encoder"])
            self.lnirt = Lnirt.from_dict(data["lnirt"])
            self.mixture = Mixture.from_dict(data["mixture"])
            self.completions = int(data["completions"])
            # Of the numbers by which it knows what it has learned; None: a range of the log.
            self.generation = data.get(GENERATION)
            self._inputs = tuple(inputs_of(data["arch"]))
            contents = {name: artifact.files[file] for name, file in GRAPHS.items()}
            self.record = Record.from_bytes(artifact.files[RECORD])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(f"{self.path} lacks what serving needs: {error}.") from error
        if self.lnirt.a.shape != self.encoder.sizes[1:]:
            raise ArtifactError(f"{self.path} holds LNIRT parameters of other topics.")
        self._graphs = {n: _Graph(self.path, n, c, threads) for n, c in contents.items()}

    def predict(self, history: History, rows: Ints, learner: Ints | None = None) -> Opinion:
        """The tasks at these positions, each from what its learner had completed before its start.

        ``learner`` [len(history)] numbers the learners where users don't tell rows apart.
        """
        tasks = self.encoder.tasks(history, learner)
        inputs = replay(tasks, self.encoder, self.lnirt)
        return self._opinion(inputs, rows, self._run(tasks, inputs, rows))

    def step(self, inputs: Inputs, states: States) -> Opinion:
        """These m tasks, each the next step of one learner who was left in these states."""
        columns = {name: inputs.columns[name][:, None] for name in self._inputs}
        return self._opinion(inputs, slice(None), self._said(columns, states)[:, 0])

    def advance(self, inputs: Inputs, rows: Ints, states: States) -> States:
        """The states after the tasks at ``rows`` [m, T], each line steps of one learner who was
        left in these."""
        columns = {name: inputs.columns[name][rows] for name in self._inputs}
        return {n: graph.advance(columns, states[n]) for n, graph in self._graphs.items()}

    def _said(self, columns: Mapping[str, NDArray[Any]], states: States) -> Floats:
        """What the networks and the prior say of steps [B, T] after these states, [B, T, SAID]."""
        said = np.full((*columns["user"].shape, SAID), np.nan)
        for name, graph in self._graphs.items():
            for where, values in graph.say(columns, states[name]):
                said[..., where] = values
        return said

    def _opinion(self, inputs: Inputs, rows: Ints | slice, said: Floats) -> Opinion:
        """Of the tasks at these rows, of which the networks and the prior said [m, SAID]."""
        expit(said[:, LOGITS], out=said[:, LOGITS])
        alone, prior = said[:, :3], said[:, 3:]
        lnirt = np.array([inputs.p, inputs.mu, inputs.sigma]).T[rows]
        topic, difficulty = (inputs.columns[name][rows] > 0 for name in ("topic", "difficulty"))
        network = topic & difficulty & np.isfinite(alone).all(axis=1)
        p = self.mixture.p(alone[:, 0], prior[:, 0], lnirt[:, 0])
        mu, sigma = middle(alone[:, 1], prior[:, 1]), alone[:, 2] * self.mixture.width
        p, mu, sigma = np.where(network, np.array([p, mu, sigma]), lnirt.T)
        return Opinion(p, mu, sigma, network, topic, difficulty, alone, lnirt, prior)

    def before_learning(self, history: History, rows: Ints) -> tuple[Floats, Floats, Floats]:
        """p, mu and sigma as served; NaN for rows that this version has learned."""
        said = self.predict(history, rows)
        learned = history.numbers[rows] <= self.completions
        p, mu, sigma = (np.where(learned, np.nan, c) for c in (said.p, said.mu, said.sigma))
        return p, mu, sigma

    def _run(self, tasks: Tasks, inputs: Inputs, rows: Ints) -> Floats:
        """What the networks and the prior say of these rows [m, SAID]."""
        wanted = np.zeros(len(tasks), dtype=np.bool_)
        wanted[rows] = True
        needed = [
            steps[: np.flatnonzero(wanted[steps])[-1] + 1]
            for steps in sequences(tasks, max(len(tasks), 1))
            if wanted[steps].any()
        ]
        said = np.full((len(tasks), SAID), np.nan)
        for batch in batches(needed, inputs):
            real = batch.mask > 0
            columns = {each: batch.inputs[each] for each in self._inputs}
            nothing = dict.fromkeys(MODELS, nothing_read(len(batch.rows)))
            said[batch.rows[real]] = self._said(columns, nothing)[real]
        return said[rows]


def load(root_url: str, path: str, sha256: str) -> Served:
    """A version from the model store. Raises ArtifactError where it is not what was announced."""
    return Served(artifacts.read(root_url, path, sha256))


class _Graph:
    """One ONNX network."""

    def __init__(self, path: str, name: str, content: bytes, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # What they keep for shapes that don't come again is a tenth of the process; nothing slows.
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ArtifactError(f"{path}/{GRAPHS[name]} can't be loaded: {_line(error)}") from error
        held = {output.name for output in self._session.get_outputs()}
        self._where = {name: where for name, where in WHERE[name].items() if name in held}

    def say(
        self, columns: Mapping[str, NDArray[Any]], state: State
    ) -> Iterator[tuple[slice, NDArray[Any]]]:
        """``linear`` and ``prior`` of every step, [B, T, …], and where they stand."""
        found = self._session.run([*self._where], {**columns, **state})
        return zip(self._where.values(), found, strict=True)

    def advance(self, columns: Mapping[str, NDArray[Any]], state: State) -> State:
        """The states after the last step."""
        found = self._session.run([f"{name}_out" for name in STATES], {**columns, **state})
        return dict(zip(STATES, found, strict=True))


def nothing_read(learners: int) -> State:
    """A network's state before a first step, [learners, units] each."""
    return {name: np.zeros((learners, units), np.float32) for name, units in STATES.items()}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
