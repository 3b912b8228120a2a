"""A peer of `retrace bench predict`: what comes goes back as it is. It sets the limit."""

from __future__ import annotations

from confluent_kafka import Consumer, Producer

from benchmarks import peer_job
from benchmarks.peer_job import Job


def run(job: Job) -> None:
    """Until it is killed."""
    consumer = Consumer(
        {
            **job.kafka,
            "group.id": job.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 50,
            "session.timeout.ms": round(job.session_seconds * 1000),
            "heartbeat.interval.ms": min(3000, round(job.session_seconds * 250)),
        }
    )
    producer = Producer({**job.kafka, "linger.ms": 0})
    consumer.subscribe([job.topic])
    while True:
        first = consumer.poll(0.2)
        producer.poll(0)
        if first is None or first.error():
            continue
        for message in [first, *consumer.consume(255, 0)]:
            if message.error():
                continue
            headers = dict(message.headers() or [])
            correlation = headers["correlation-id"]
            producer.produce(
                job.prefix + headers["reply-topic"].decode(),  # type: ignore[union-attr]
                key=correlation,
                value=message.value(),
                headers=[("correlation-id", correlation)],
            )
        consumer.commit(asynchronous=True)


if __name__ == "__main__":
    run(peer_job.job())
