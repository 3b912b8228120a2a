"""How good is each model version? Needs confluent-kafka, and nothing of Retrace.

    python analytics.py --bootstrap 127.0.0.1:9092          # JSON lines whenever a figure changes
    python analytics.py --bootstrap 127.0.0.1:9092 --once   # what the topics hold now, then ends

It joins `prediction` to `task-completed` by task, and puts the mean log loss beside the one that
Retrace publishes in `prediction-score`: lower is better, always saying 0.5 gives 0.693. What it
knows is in memory: it commits no offsets, and reads what the topics hold at every start. Run one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from confluent_kafka import Consumer, KafkaError

MOST = 200_000  # events kept on each side of the join; the oldest go first
Event = dict[str, Any]


class Scoreboard:
    """The figures, by version (null: no model was used), source and arm. It knows nothing of
    Kafka, and takes events in any order, repeated or not."""

    def __init__(self) -> None:
        self.predicted: dict[str, dict[str, Event]] = {}  # by task, then arm
        self.completed: dict[str, Event] = {}
        self.losses: dict[Any, list[tuple[int, float]]] = {}  # rows and log loss
        self.windows: dict[Any, dict[Any, tuple[int, float]]] = {}  # of each, as Retrace says

    def prediction(self, event: Event) -> None:
        """Of several for one task and arm the first counts; a challenger's are here, too."""
        arms = self.predicted.setdefault(event["task_id"], {})
        # What the schema does not require, older events may lack.
        if arms.setdefault(event.get("arm", "champion"), event) is event:
            self.compare(event, self.completed.get(event["task_id"]))
        forget_oldest(self.predicted)

    def task_completed(self, event: Event) -> None:
        """A task completes once: what comes again changes nothing."""
        if self.completed.setdefault(event["task_id"], event) is event:
            for prediction in self.predicted.get(event["task_id"], {}).values():
                self.compare(prediction, event)
        forget_oldest(self.completed)

    def compare(self, said: Event, done: Event | None) -> None:
        """Only what was said of the same learner before the end counts."""
        if done is None or said["user_id"] != done["user_id"]:
            return
        if datetime.fromisoformat(said["predicted_at"]) < datetime.fromisoformat(
            done["completed_at"]
        ):
            p = said["p_correct"]  # from 0.01 to 0.99, so the logarithm is finite
            loss = -math.log(p if done["is_correct"] else 1 - p)
            group = (said.get("model_version"), said["source"], said.get("arm", "champion"))
            self.losses[group] = [mean([*self.losses.get(group, []), (1, loss)])]

    def prediction_score(self, event: Event) -> None:
        """A window is published again, whole, as it grows: the newest replaces the others."""
        windows = self.windows.setdefault((event.get("version"), event["source"], event["arm"]), {})
        start = (event["window_start"], event["window_seconds"])
        windows[start] = (event["rows"], event.get("log_loss") or 0.0)

    def lines(self) -> list[str]:
        found = []
        for group in sorted({*self.losses, *self.windows}, key=str):
            rows, loss = mean(self.losses.get(group, []))
            told, theirs = mean(list(self.windows.get(group, {}).values()))
            own = {"rows": rows, "log_loss": round(loss, 6)}
            published = {"rows": told, "log_loss": round(theirs, 6)}
            names = dict(zip(("version", "source", "arm"), group, strict=True))
            found.append(json.dumps({**names, **own, "published": published}))
        return found


def mean(parts: list[tuple[int, float]]) -> tuple[int, float]:
    rows = sum(count for count, _ in parts)
    return rows, sum(count * value for count, value in parts) / max(rows, 1)


def forget_oldest(events: dict[str, Any]) -> None:
    if len(events) > MOST:
        del events[next(iter(events))]


def messages(consumer: Consumer) -> Iterator[tuple[str, bytes] | None]:
    """Topic and value, one by one; None whenever all that is there has been read."""
    ended = set()
    while True:
        message = consumer.poll(1.0)
        if message is not None:
            topic = message.topic() or ""
            place = (topic, message.partition())
            if (error := message.error()) is None:
                ended.discard(place)
                yield topic, message.value() or b""
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(place)
            else:
                print(error.str(), file=sys.stderr)  # it passes with time; the client tries again
        if ended and len(ended) == len(consumer.assignment()):
            yield None


def follow(consumer: Consumer, prefix: str, once: bool) -> None:
    board = Scoreboard()
    shown: list[str] = []
    take = {
        prefix + "prediction": board.prediction,
        prefix + "task-completed": board.task_completed,
        prefix + "prediction-score": board.prediction_score,
    }
    consumer.subscribe(list(take))
    for message in messages(consumer):
        if message is not None:
            topic, value = message
            # What is no event is passed over; Retrace has put it into `dead-letters`.
            with contextlib.suppress(ValueError, TypeError, KeyError):
                take[topic](json.loads(value))
        elif (lines := board.lines()) != shown or once:
            shown = lines
            print("\n".join(lines), flush=True)
            if once:
                return


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bootstrap", default="127.0.0.1:9092", help="Kafka's host:port,…")
    parser.add_argument("--prefix", default="", help="RETRACE_TOPIC_PREFIX, if it is set")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="TLS, SASL")
    parser.add_argument("--once", action="store_true", help="end at the end of the topics")
    told = parser.parse_args()
    consumer = Consumer(
        {
            "bootstrap.servers": told.bootstrap,
            "group.id": told.prefix + "analytics-example",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            **dict(each.split("=", 1) for each in told.set),
        }
    )
    try:
        follow(consumer, told.prefix, told.once)
    except KeyboardInterrupt:
        pass  # Ctrl-C is how it ends
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
