"""Two of every service, learners who practise all the while, and a rollout as Kubernetes does it.

A learner stays on a connection until a gateway closes it, as behind a Service, and sends the same
again where a gateway says so (503, a store that is slow). Nothing else is tried again.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from ops.machine import free_port
from schemas.settings import Settings
from tests.running import Service
from tests.servers import wait_until

PERIOD = 0.2


class Pods:
    """Those of one service; each has a port and a folder of its own."""

    def __init__(self, name: str, settings: Settings, count: int = 2) -> None:
        self.name, self.settings = name, settings
        self.started = 0
        self.running = [self._start() for _ in range(count)]

    def _start(self) -> Service:
        self.started += 1
        folder = self.settings.data_dir / f"{self.name}-{self.started}"
        folder.mkdir()
        own = {f"{self.name}_port": free_port(), "data_dir": folder}
        return Service(self.name, self.settings.model_copy(update=own))

    def await_ready(self) -> None:
        for service in self.running:
            service.await_ready(240)

    def replace(self, old: Service) -> int:
        """Start a new one, await it, end the old one; its exit code."""
        new = self._start()
        new.await_ready(240)
        self.running.append(new)
        began = time.monotonic()
        old.process.terminate()
        wait_until(lambda: not old.readiness().get("ready"), 60)
        self.running.remove(old)
        code = old.process.wait(60)
        print(self.name, f"{time.monotonic() - began:.1f} s from SIGTERM to its end")
        return code

    def stop(self) -> list[int]:
        return [service.stop() for service in self.running]

    def kill(self) -> None:
        for service in self.running:
            service.kill()


@dataclass
class Calls:
    """What became of every call."""

    completed: set[str] = field(default_factory=set)  # tasks
    answers: list[tuple[float, dict[str, Any]]] = field(default_factory=list)  # seconds of a POST
    again: int = 0  # 503, sent again
    closed: int = 0  # answered, and sent elsewhere
    failed: list[str] = field(default_factory=list)


class Learners:
    """Each asks for a task and answers it, again and again, until the block ends."""

    def __init__(self, gateways: Pods, count: int = 4) -> None:
        self.gateways, self.calls, self.ended = gateways, Calls(), threading.Event()
        self.threads = [threading.Thread(target=self._practise, args=(n,)) for n in range(count)]

    def __enter__(self) -> Learners:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join(60)

    def await_more(self, tasks: int = 10) -> None:
        """Wait until so many more are completed."""
        known = len(self.calls.completed)
        wait_until(lambda: len(self.calls.completed) >= known + tasks, 240)

    def _practise(self, learner: int) -> None:
        with Caller(self.gateways, self.calls, learner) as caller:
            while not self.ended.wait(PERIOD):
                self._turn(caller, f"user-{learner}")

    def _turn(self, caller: Caller, user: str) -> None:
        new = {"user_id": user, "topic": "topic-1", "difficulty": "easy"}
        began = time.monotonic()
        task = caller.call("POST", "/practice-tasks", new, 201)
        if task is None:
            return
        self.calls.answers.append((time.monotonic() - began, task))
        how = {"is_correct": len(self.calls.completed) % 3 > 0, "actual_time_seconds": 12.5}
        if caller.call("PATCH", f"/practice-tasks/{task['id']}", how, 200) is not None:
            self.calls.completed.add(task["id"])


class Caller:
    """One connection to one gateway, until it is closed."""

    def __init__(self, gateways: Pods, calls: Calls, turn: int) -> None:
        self.gateways, self.calls, self.turn = gateways, calls, turn
        self.client = self._connected()

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_error: object) -> None:
        self.client.close()

    def _connected(self) -> httpx.Client:
        self.turn += 1
        there = list(self.gateways.running)
        port = there[self.turn % len(there)].settings.gateway_port
        return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def _elsewhere(self) -> None:
        self.client.close()
        self.client = self._connected()

    def call(self, verb: str, path: str, body: dict[str, Any], wanted: int) -> Any:
        """The answer; None, noted, where there is none or another than wanted."""
        for _attempt in range(100):
            try:
                found = self.client.request(verb, path, json=body)
            except httpx.HTTPError as error:
                self.calls.failed.append(f"{verb} {error!r}")
                self._elsewhere()
                return None
            if found.headers.get("connection") == "close":
                self.calls.closed += 1
                self._elsewhere()
            if found.status_code != 503:
                break
            self.calls.again += 1
            time.sleep(PERIOD)  # as Retry-After asks
        if found.status_code != wanted:
            self.calls.failed.append(f"{verb} {found.status_code} {found.text[:200]}")
            return None
        return found.json()
