"""The implementation of the fixtures of `pytest_plugin`: clusters, tables, signals and event loops for tests.

Nothing here imports the embedded cluster or PynamoDB before a test uses a fixture.
"""
