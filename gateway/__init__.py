"""The face: a REST gateway over the topics and the store."""
