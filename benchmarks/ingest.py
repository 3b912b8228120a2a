"""`retrace bench ingest`: events a second from published to stored and counted, beside peers.

Peers stand each between two of our own runs on as many events, so that a machine that grows slower
or faster meanwhile changes no ratio.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from benchmarks import ingest_own, ingest_peers, ingest_table, machine, reported
from benchmarks.ground import Servers
from benchmarks.ingest_own import Case
from benchmarks.ingest_timeline import speed
from benchmarks.reported import teller
from gateway.numerals import grouped

SETTINGS = ("batch_size", "train_every", "window_seconds", "window_kept_seconds", "seed")


@dataclass(frozen=True)
class Asked:
    """The command's options. ``peer_events`` 0: no peers; ``seconds`` 0: no latency."""

    events: int
    learners: int
    workers: Sequence[int]
    partitions: Sequence[int]
    stored: Sequence[int]
    rate: float
    seconds: float
    peer_events: int
    slow_events: int


def run(asked: Asked, *, as_json: bool) -> None:
    """Measure and report."""
    reported.run(lambda on: measure(asked, on), ingest_table.view, as_json=as_json)


def measure(asked: Asked, on: Servers) -> dict[str, Any]:
    """The object that is printed."""
    found = machine.facts()
    rows = [ingest_own.measure(on, case, teller(words(case))) for case in cases(asked)]
    own, peers = beside(asked, on) if asked.peer_events else ([], [])
    return {
        "bench": "ingest",
        "machine": found,
        "servers": on.kinds,
        "settings": {name: getattr(on.settings, name) for name in SETTINGS}
        | {"learners": asked.learners},
        "rows": rows,
        "beside": own,
        "peers": peers,
        "ratio": ratio(own, peers),
    }


def cases(asked: Asked) -> list[Case]:
    """Every combination of what is stored, partitions and workers."""
    every = product(asked.stored, asked.partitions, asked.workers)
    return [
        Case(asked.events, asked.learners, workers, partitions, stored, asked.rate, asked.seconds)
        for stored, partitions, workers in every
    ]


def beside(asked: Asked, on: Servers) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Our own runs, one more than peers, and the peers, each between two of ours."""
    case = Case(asked.peer_events, asked.learners, partitions=asked.partitions[0])
    slow = Case(asked.slow_events, asked.learners, partitions=asked.partitions[0])
    cache = on.settings.data_dir.resolve() / "bench"
    own, peers = [ingest_own.measure(on, case, teller(words(case)))], []
    for peer in ingest_peers.ALL:
        given = slow if peer.slow else case
        tell = teller(f"{peer.title}, {grouped(given.events)}")
        peers.append(ingest_peers.measure(on, peer, given, cache, tell))
        own.append(ingest_own.measure(on, case, teller(words(case))))
    return own, peers


def ratio(
    own: Sequence[Mapping[str, Any]], peers: Sequence[Mapping[str, Any]]
) -> dict[str, float | None]:
    """How many times as fast ours is as each peer, and as the quicker bare loop, the limit."""
    found: dict[str, float | None] = {}
    for at, peer in enumerate(peers):
        ours = statistics.mean(speed(run) for run in own[at : at + 2])
        found[peer["name"]] = None if "failed" in peer else round(ours / speed(peer), 2)
    loops = [found[name] for name in ingest_peers.LOOPS if found.get(name) is not None]
    return found | {"limit": min((r for r in loops if r is not None), default=None)}


def words(case: Case) -> str:
    """A case for people who wait for it."""
    return (
        f"{grouped(case.events)} events, workers {case.workers}, "
        f"partitions {case.partitions}, stored {grouped(case.stored)}"
    )
