"""The package by itself needs none of its extras."""

from __future__ import annotations

import pytest

from .support import run_python

EXTRAS = ("flask", "django", "prometheus_client", "opentelemetry", "moto", "pytest", "cryptography", "boto3", "rich")


def test_importing_the_package_imports_no_extra() -> None:
    said = run_python(f"import pynamodb_alternator\nprint([one for one in {EXTRAS!r} if one in sys.modules])")
    assert said == "[]\n"


def test_the_package_works_without_any_extra() -> None:
    said = run_python(
        "import pynamodb_alternator\n"
        "from pynamodb_alternator.contrib import logging\n"
        "logging.instrument().uninstrument()\n"
        "pynamodb_alternator.configure(default='http://192.0.2.1:8000')\n"
        "print(pynamodb_alternator.get_cluster().name)",
        without=EXTRAS,
    )
    assert said == "default\n"


@pytest.mark.parametrize(
    ("module", "others"),
    [
        ("contrib.fastapi", ("flask", "django", "prometheus_client", "moto", "pytest")),
        ("contrib.flask", ("django", "prometheus_client", "opentelemetry", "moto", "pytest")),
        ("contrib.django", ("flask", "prometheus_client", "opentelemetry", "moto", "pytest")),
        ("contrib.prometheus", ("flask", "django", "opentelemetry", "moto", "pytest")),
        ("contrib.opentelemetry", ("flask", "django", "prometheus_client", "moto", "pytest")),
        ("pytest_plugin", ("flask", "django", "prometheus_client", "opentelemetry", "moto")),
    ],
)
def test_each_extra_needs_no_other(module: str, others: tuple[str, ...]) -> None:
    assert run_python(f"import pynamodb_alternator.{module}\nprint('fine')", without=others) == "fine\n"
