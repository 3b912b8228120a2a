"""Tell Retrace that learners finished tasks. Needs confluent-kafka, and nothing of Retrace.

    python producer.py --bootstrap 127.0.0.1:9092 --session monday

What an event holds: `retrace schemas export DIR`, then DIR/task-completed.schema.json.
TLS and SASL: any setting of librdkafka, like --set security.protocol=SASL_SSL.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

# What your own system knows: who answered what, how well, and in how many seconds.
ANSWERS = [
    ("ada", "fractions", "easy", True, 12.5),
    ("ada", "fractions", "hard", False, 48.0),
    ("ben", "geometry", "easy", True, 21.0),
    ("ben", "geometry", "hard", True, 33.5),
    ("cleo", "fractions", "easy", False, 40.0),
]


def events(session: str) -> Iterator[dict[str, Any]]:
    """One event an answer. Unknown fields are ignored, so leave out what you don't need."""
    for number, (user, topic, difficulty, is_correct, seconds) in enumerate(ANSWERS):
        yield {
            # Unique, and the same whenever you publish this completion again: a repeat is then
            # harmless. The same id with another outcome becomes a dead letter.
            "task_id": f"{session}/{number}",
            "user_id": user,  # a pseudonym will do; at most 128 characters
            "topic": topic,
            "difficulty": difficulty,  # your own words; at most 32 characters
            "completed_at": datetime.now(UTC).isoformat(),  # always with an offset
            "is_correct": is_correct,
            "actual_time_seconds": seconds,  # above 0, at most 86 400
        }


def main() -> int:
    told = arguments()
    producer = Producer(
        {
            "bootstrap.servers": told.bootstrap,
            # The learner's id is the key, and this partitioner places it where Retrace and Java
            # would: a learner's events keep their order.
            "partitioner": "murmur2_random",
            # The producer's own retries neither repeat nor reorder.
            "enable.idempotence": True,
            **dict(each.split("=", 1) for each in told.set),
        }
    )
    failed: list[str] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        """Only now is the event safe: keep it on your side until here, and publish it again."""
        if error is not None:
            failed.append(str(error))

    for event in events(told.session):
        producer.produce(
            told.prefix + "task-completed",
            key=event["user_id"],
            value=json.dumps(event),
            on_delivery=delivered,
        )
        producer.poll(0)  # lets delivery reports through
    waiting = producer.flush(30)
    if failed or waiting:
        print(f"{len(failed) + waiting} not delivered: {failed[:1]}", file=sys.stderr)
        return 1
    print(f"{len(ANSWERS)} completions delivered")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bootstrap", default="127.0.0.1:9092", help="Kafka's host:port,…")
    parser.add_argument("--session", required=True, help="what makes your task ids unique")
    parser.add_argument("--prefix", default="", help="RETRACE_TOPIC_PREFIX, if it is set")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
