"""Clusters for Django projects: put ``"pynamodb_alternator.contrib.django"`` into ``INSTALLED_APPS``.

``settings.ALTERNATOR`` says which cluster each alias means::

    ALTERNATOR = {
        "default": {"SEEDS": ["10.0.0.1", "10.0.0.2"], "PORT": 8000, "DATACENTER": "dc1"},
        "analytics": {"URL": "http://10.1.0.1:8000"},
    }
"""

from __future__ import annotations

from .._watch import missing

try:
    import django as _django  # noqa: F401
except ImportError as _cause:
    missing("django", "Django", _cause)
