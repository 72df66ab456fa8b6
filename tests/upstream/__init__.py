"""PynamoDB's own unit tests, which run over this library: see `__main__`. They are no part of `make test`."""
