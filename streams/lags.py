"""How far a consumer group is behind, by partition: what the probe looks at every few seconds."""

from __future__ import annotations

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

TIMEOUT = 5.0
EARLIEST, LATEST = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]


def behind(edge: AdminClient, group: str, topic: str, partitions: int) -> dict[int, int]:
    """Messages not committed yet; where nothing was committed, all that the partition holds.

    Raises ``KafkaException`` where the broker cannot say.
    """
    committed = _committed(edge, group, topic)
    ends = _offsets(edge, topic, range(partitions), LATEST)
    fresh = [partition for partition in ends if partition not in committed]
    begins = _offsets(edge, topic, fresh, EARLIEST) if fresh else {}
    return {p: max(0, end - committed.get(p, begins.get(p, 0))) for p, end in ends.items()}


def _committed(edge: AdminClient, group: str, topic: str) -> dict[int, int]:
    asked = [ConsumerGroupTopicPartitions(group)]
    found = edge.list_consumer_group_offsets(asked, request_timeout=TIMEOUT)[group].result()
    return {
        place.partition: place.offset
        for place in found.topic_partitions or ()
        if place.topic == topic and place.offset >= 0
    }


def _offsets(
    edge: AdminClient, topic: str, partitions: range | list[int], which: OffsetSpec
) -> dict[int, int]:
    asked = {TopicPartition(topic, partition): which for partition in partitions}
    found = edge.list_offsets(asked, request_timeout=TIMEOUT)
    return {place.partition: future.result().offset for place, future in found.items()}
