"""How far a consumer group is behind, by partition: what the probe looks at every few seconds."""

from __future__ import annotations

from confluent_kafka import TopicPartition

from schemas.settings import Settings
from streams import kafka
from streams.consumption import Consumption

TIMEOUT = 5.0


class Lag:
    """Of one consumption's group, whoever its members are.

    Asks by a consumer that joins nothing. The admin client's call is no way: it ends the whole
    process where a group's coordinator has just moved (librdkafka's issue 5040).
    """

    def __init__(self, settings: Settings, consumption: Consumption) -> None:
        group = consumption.group.removeprefix(settings.topic_prefix)
        self.consumption = consumption
        self._reader = kafka.consumer(settings, group)
        self._places = [
            TopicPartition(consumption.topic, partition) for partition in range(consumption.places)
        ]

    def behind(self) -> dict[int, int]:
        """Messages not committed yet; where nothing was committed, all that a partition holds.

        Raises ``KafkaException`` where the broker cannot say.
        """
        return {
            place.partition: self._behind(place)
            for place in self._reader.committed(self._places, timeout=TIMEOUT)
        }

    def _behind(self, place: TopicPartition) -> int:
        low, high = self._reader.get_watermark_offsets(place, timeout=TIMEOUT)
        return max(0, high - max(place.offset, low))  # what went by age does not wait

    def close(self) -> None:
        self._reader.close()
