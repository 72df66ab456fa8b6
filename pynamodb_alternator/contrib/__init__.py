"""The library at home in other people's houses: Flask, Django, Prometheus, OpenTelemetry, logging.

Each module needs the extra of its name, and is imported by nothing else: ``pip install
'pynamodb-alternator[prometheus]'``, then ``from pynamodb_alternator.contrib import prometheus``.
"""
