"""The words: events, topics, tables, settings and errors. No I/O; imports no other folder."""
