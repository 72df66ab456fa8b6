"""The library inside of other frameworks and tools: Flask, Django, FastAPI, Prometheus, OpenTelemetry, logging.

Each module needs the extra of its name, and is imported by nothing else: ``pip install
'pynamodb-alternator[prometheus]'``, then ``from pynamodb_alternator.contrib import prometheus``.
"""
