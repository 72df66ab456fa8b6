"""Integrations into other frameworks and tools: Flask, Django, FastAPI, Prometheus, OpenTelemetry, logging.

Each module needs the extra of its name, and must be imported explicitly:
``pip install 'pynamodb-alternator[prometheus]'``, then ``from pynamodb_alternator.contrib import prometheus``.
"""
