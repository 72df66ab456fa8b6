"""The package by itself needs none of its extras."""

from __future__ import annotations

import pytest

from .support import run_python

EXTRAS = (
    "aiobotocore",
    "boto3",
    "cryptography",
    "django",
    "fastapi",
    "flask",
    "greenlet",
    "moto",
    "opentelemetry",
    "prometheus_client",
    "pytest",
    "rich",
)
"""What a bare installation may lack, by the names under which it is imported."""

NEEDS = [
    ("aio", "aiobotocore", "async"),
    ("aio", "greenlet", "async"),
    ("boto3", "boto3", "boto3"),
    ("contrib.django", "django", "django"),
    ("contrib.fastapi", "aiobotocore", "fastapi"),
    ("contrib.fastapi", "fastapi", "fastapi"),
    ("contrib.fastapi", "greenlet", "fastapi"),
    ("contrib.flask", "flask", "flask"),
    ("contrib.opentelemetry", "opentelemetry", "opentelemetry"),
    ("contrib.opentelemetry", "opentelemetry.instrumentation", "opentelemetry"),
    ("contrib.opentelemetry_instrumentor", "opentelemetry", "opentelemetry"),
    ("contrib.prometheus", "prometheus_client", "prometheus"),
]
"""Modules, what each of them needs, and the extra that brings it."""


def test_importing_the_package_imports_no_extra() -> None:
    said = run_python(f"import pynamodb_alternator\nprint([name for name in {EXTRAS!r} if name in sys.modules])")
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


@pytest.mark.parametrize(("module", "needed", "extra"), NEEDS)
def test_without_what_it_needs_the_import_names_the_extra(module: str, needed: str, extra: str) -> None:
    said = run_python(
        f"try:\n    import pynamodb_alternator.{module}\nexcept ImportError as wrong:\n    print(wrong)",
        without=(needed,),
    )
    module = module.replace("opentelemetry_instrumentor", "opentelemetry")
    assert said.startswith(f"pynamodb_alternator.{module} needs ")
    assert needed in said
    assert said.endswith(f"Install the extra: pip install 'pynamodb-alternator[{extra}]'\n")
    assert said.count("pip install") == 1


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
