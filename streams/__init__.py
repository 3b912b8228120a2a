"""The motion: counting, windows, recording; the Kafka edge and the store."""
