"""What hurts the whole system: as ``faults``, but one of three brokers; and the other services."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import httpx
from sqlalchemy.exc import SQLAlchemyError

from tests.chaos import evidence, plan
from tests.chaos.asking import Practice
from tests.chaos.faults import Faults
from tests.chaos.plan import FAULTS, Hit
from tests.chaos.stage import Child
from tests.chaos.threefold import Threefold, Troupe
from tests.running import environment
from tests.servers import wait_until

BACK_SECONDS = 20.0
MORE_FAULTS = (
    *FAULTS, "leaders moved", "inference killed", "gateway killed", "claim unpublished",
    "learner forgotten",
)  # fmt: skip


class SystemFaults(Faults):
    """``practice``: whose task is claimed just before the gateway is killed."""

    stage: Threefold
    workers: Troupe
    practice: Practice

    def add(self) -> None:
        """Know the further kinds."""
        self._kinds |= {
            "broker killed": self._break_one,
            "leaders moved": self._move_leaders,
            "inference killed": self._kill_inference,
            "gateway killed": self._kill_gateway,
            "claim unpublished": self._kill_unpublished,
            "learner forgotten": self._forget,
        }

    def soon(self, action: Callable[[], None]) -> None:
        """For the main thread, which alone may start children."""
        self._at(time.monotonic() + 0.2, action)

    def _break_one(self, hit: Hit) -> None:
        node, began = self._node(hit), time.monotonic()
        node.kill()
        self._stand_still(hit.seconds)
        self.stage.start_kafka()
        self.journal.fault(hit.kind, began, node=node.name)

    def _move_leaders(self, hit: Hit) -> None:
        """A node leaves as an upgrade lets it, and is given its partitions back."""
        began, before = time.monotonic(), self._leaders()
        node = self._node(hit)
        node.end(signal.SIGTERM)
        away = self._leaders()
        self.stage.start_kafka()
        try:
            wait_until(lambda: self._moved(away, self._leaders()) > 0, BACK_SECONDS)
        except AssertionError:
            self.journal.note("no leader moved back", seconds_waited=BACK_SECONDS)
        self.journal.fault(hit.kind, began, node=node.name, moved=self._moved(before, away))

    @staticmethod
    def _moved(before: dict[tuple[str, int], int], after: dict[tuple[str, int], int]) -> int:
        return sum(after.get(place, leader) != leader for place, leader in before.items())

    def _leaders(self) -> dict[tuple[str, int], int]:
        return self.stage.cluster.leaders()

    def _kill_inference(self, hit: Hit) -> None:
        self._kill_child(hit, self.workers.inferences[hit.worker])

    def _kill_gateway(self, hit: Hit) -> None:
        self._kill_child(hit, self.workers.gateway)

    def _kill_child(self, hit: Hit, child: Child) -> None:
        began = time.monotonic()
        child.kill()
        self._at(time.monotonic() + hit.seconds, child.start)
        self.journal.fault(hit.kind, began, worker=child.name)

    def _kill_unpublished(self, hit: Hit) -> None:
        """The claim is in the store; no broker can take it before the gateway dies."""
        began, gateway = time.monotonic(), self.workers.gateway
        with httpx.Client(timeout=5.0, trust_env=False) as client:
            task_id = self.practice.issue(client)
            if task_id is None:
                self._skip(hit, "the gateway gave no task")
                return
            for node in self.stage.nodes:
                node.freeze()
            try:
                claimed = self.practice.complete(client, task_id, 5.0)
            finally:
                gateway.kill()
                for node in self.stage.nodes:
                    node.thaw()
        self._at(time.monotonic() + hit.seconds, gateway.start)
        if claimed:
            self.journal.fault(hit.kind, began, task=task_id)
        else:
            self._skip(hit, "the gateway did not take the claim")
        wait_until(self.stage.cluster.whole, 60)

    def _forget(self, hit: Hit) -> None:
        """As an operator would; at the first try by chance killed on the way."""
        user, log = plan.leaver(hit.share), self.settings.data_dir / "forget.log"
        argv = [sys.executable, "-m", "ops.cli", "forget", user, "--yes"]
        with log.open("ab") as said:
            began, env = time.monotonic(), environment(self.settings)
            process = subprocess.Popen(argv, env=env, stdout=said, stderr=said)
        if hit.worker and not self._tries[hit]:
            self._at(began + hit.seconds, process.kill)
        self._await_forgotten(hit, user, process, began)

    def _await_forgotten(
        self, hit: Hit, user: str, process: subprocess.Popen[bytes], began: float
    ) -> None:
        """Done where it is on the list: what was not erased before a kill, streams erases."""
        code, listed = process.poll(), None
        if code is not None:
            with contextlib.suppress(SQLAlchemyError):
                listed = user in evidence.forgotten(self.engine)
        if listed is None:
            later = time.monotonic() + 0.5
            self._at(later, lambda: self._await_forgotten(hit, user, process, began))
        elif listed:
            self.journal.fault(hit.kind, began, learner=user, exit_code=code)
        else:
            self._skip(hit, f"{user} is not on the list; exit code {code}")

    def _node(self, hit: Hit) -> Child:
        return self.stage.nodes[int(hit.share * len(self.stage.nodes))]
