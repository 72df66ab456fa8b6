"""Runs the test suite with all versions of Python and of dependencies that we support: ``nox``, or ``nox -s oldest``.

It needs nox, and the interpreters that are to be tested. ``nox -s tests-3.12`` runs the tests with one of them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "upstream", "oldest", "oldest_async", "uvloop", "types", "wheel"]

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
WITHOUT_ASYNC = "local,flask,django,prometheus,opentelemetry,cli,boto3"
EXTRAS = f"{WITHOUT_ASYNC},async,fastapi"
FOR_TYPES = "stubs"
OLDEST = (
    "pynamodb==6.0.0",
    "blinker==1.7.0",
    "moto[dynamodb]==5.1.10",
    "cryptography==42.0.0",
    "flask==3.0.0",
    "django==5.2",
    "prometheus-client==0.20.0",
    "opentelemetry-api==1.30.0",
    "opentelemetry-instrumentation==0.51b0",
    "rich==13.0.0",
)
"""The lower bounds of pyproject.toml, except those that depend on one another or on Python, which follow."""
OLDEST_BOTOCORE = ("botocore==1.35.0", "boto3==1.35.0")
OLDEST_AIOBOTOCORE = ("aiobotocore==3.0.0", "botocore==1.41.0", "boto3==1.41.0")
"""aiobotocore works with only a few versions of botocore: 3.0.0 with those from 1.41.0 to 1.42.5."""
OLDEST_FASTAPI = ("fastapi==0.115.0", "uvicorn==0.30.0", "httpx==0.27.0")
FOR_FRAMEWORKS = ("opentelemetry-sdk==1.30.0", "opentelemetry-instrumentation-botocore==0.51b0")
"""What the tests of the frameworks and of OpenTelemetry need, in the versions of the same time."""
OLDEST_COMPILED = {
    "3.11": ("orjson==3.9.15", "httptools==0.6.1"),
    "3.13": ("orjson==3.10.7", "httptools==0.6.2"),
}
"""By the Python from which on they are the lower bounds: older versions have no wheels for it."""
OLDEST_GREENLET = {"3.11": "greenlet==3.0.3", "3.13": "greenlet==3.1.0"}
AT_THE_BOUNDS = ("tests/scylla", "tests/e2e/test_models.py", "tests/e2e/test_failover.py", "tests/e2e/test_boto3.py")
"""Tests that need only the dependency group `harness`. The other tests need tools that require newer versions."""


@nox.session(python=PYTHONS)
@nox.parametrize("pynamodb", ["6.0", "6.1"])
def tests(session: nox.Session, pynamodb: str) -> None:
    """Runs the whole suite, with the newest versions that each PynamoDB allows."""
    session.install(f".[{EXTRAS}]", f"pynamodb=={pynamodb}.*", "--group", "test")
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session(python=PYTHONS)
def upstream(session: nox.Session) -> None:
    """Runs PynamoDB's own unit tests, from the source distribution of the installed PynamoDB."""
    session.install(".[local]", "pynamodb==6.1.*", "pip", "--group", "harness", "--group", "upstream")
    session.run("python", "-m", "tests.upstream", *session.posargs)


@nox.session(python=list(OLDEST_COMPILED))
def oldest(session: nox.Session) -> None:
    """Runs the end-to-end tests with the oldest version of each dependency. Warnings of old versions are not errors."""
    bounds = (*OLDEST, *OLDEST_COMPILED[session.python], *OLDEST_BOTOCORE)
    session.install(f".[{WITHOUT_ASYNC}]", *bounds, "--group", "harness")
    session.run("pytest", "-o", "filterwarnings=default", *AT_THE_BOUNDS, *session.posargs)


@nox.session(python=list(OLDEST_COMPILED))
def oldest_async(session: nox.Session) -> None:
    """Runs the same tests, and those of asyncio, the frameworks and the shell, with the oldest versions of them."""
    compiled = (*OLDEST_COMPILED[session.python], OLDEST_GREENLET[session.python])
    oldest = (*OLDEST, *compiled, *OLDEST_AIOBOTOCORE, *OLDEST_FASTAPI, *FOR_FRAMEWORKS)
    session.install(f".[{EXTRAS}]", *oldest, "--group", "harness")
    tests = ("tests/aio", "tests/contrib", "tests/shell")
    session.run("pytest", "-o", "filterwarnings=default", *tests, *AT_THE_BOUNDS, *session.posargs)


@nox.session(python=PYTHONS[:-1])
def uvloop(session: nox.Session) -> None:
    """The tests of event loops, on those of uvloop."""
    session.install(f".[{EXTRAS}]", "uvloop", "--group", "test")
    session.run("pytest", "-p", "tests.aio.on_uvloop", "-n", "2", "tests/aio", *session.posargs)


@nox.session(python=PYTHONS)
def types(session: nox.Session) -> None:
    """Runs mypy on the package, and mypy and pyright on a user's project, which may have an older mypy than we have."""
    session.install(f".[{EXTRAS},{FOR_TYPES}]", "--group", "lint", "--group", "harness", "--group", "build")
    session.run("mypy")
    session.run("pytest", "tests/typing", *session.posargs)
    session.install("mypy==1.19.*")
    session.run("pytest", "tests/typing", "-k", "mypy", *session.posargs)


@nox.session(python=PYTHONS[0])
def wheel(session: nox.Session) -> None:
    """Builds wheel and sdist, and runs tests on the installed wheel, in a folder without the source tree."""
    session.install("build")
    folder = Path(session.create_tmp()) / "wheel"
    shutil.rmtree(folder, ignore_errors=True)  # what an earlier version left
    session.run("python", "-m", "build", "--outdir", str(folder / "dist"), ".")
    (built,) = (folder / "dist").glob("*.whl")
    session.install(f"{built}[{EXTRAS}]", "--group", "test")
    for needed in ("tests", "docs"):  # some tests run the examples of the documentation
        shutil.copytree(needed, folder / needed, dirs_exist_ok=True)
    session.chdir(folder)
    session.run("pytest", "-c", "/dev/null", "--rootdir", ".", "tests/aio", *AT_THE_BOUNDS)
