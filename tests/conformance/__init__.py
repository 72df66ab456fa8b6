"""ScyllaDB's own tests of Alternator's data API, run against the embedded cluster. See `__main__`."""
