"""Run tests on uvloop's event loops: ``pytest -p tests.aio.on_uvloop tests/aio``, as ``nox -s uvloop`` does."""

from __future__ import annotations

import warnings

import uvloop

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of policies, which go with Python 3.16
    uvloop.install()
