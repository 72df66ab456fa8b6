"""PynamoDB's own unit tests, which run over this library: see `__main__`. They are not a part of `make test`."""
