"""``make upstream``: PynamoDB's own unit tests, with this library in the place of its connections and models.

    python -m tests.upstream [--stock] [arguments of pytest]

They come with PynamoDB's source distribution, which pip downloads by the name, version and hash in `sdist.txt`, and run
in a folder and a process of their own, with `on_a_cluster`: once as they are, with `install`, and once with models that
derive from our `Model`. The tests that end otherwise than over PynamoDB are those of `differing.toml`, no more and no
fewer, or the run fails. With ``--stock`` they run over PynamoDB alone, and all have to pass: so the stand-ins for what
the source distribution leaves out are seen to be right.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
STOCK_MODEL, OUR_MODEL = "from pynamodb.models import Model\n", "from pynamodb_alternator import Model\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.upstream", description=__doc__)
    parser.add_argument("--stock", action="store_true", help="over PynamoDB alone")
    options, others = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        tests = unpacked(downloaded(Path(folder)), Path(folder) / "run" / "tests")
        failed = run(tests, stock=options.stock, others=others)
        if failed or options.stock:
            return failed
        derive_from_our_model(tests)
        return run(tests, stock=False, others=others)


def downloaded(folder: Path) -> Path:
    """The source distribution. Its metadata are built by what is installed, and by nothing else."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"]
    unbuilt = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
    command = [*pip, *unbuilt, "--dest", str(folder), "--requirement", str(HERE / "sdist.txt")]
    if subprocess.run(command, check=False).returncode:
        sys.exit("PynamoDB's source distribution could not be downloaded: pip says why above.")
    (archive,) = folder.glob("*.tar.gz")
    return archive


def unpacked(archive: Path, tests: Path) -> Path:
    """Its tests in this folder, with the stand-ins for the modules that it leaves out."""
    shutil.unpack_archive(archive, archive.parent)
    shutil.copytree(archive.with_name(archive.name.removesuffix(".tar.gz")) / "tests", tests)
    shutil.copytree(HERE / "stand_ins", tests, dirs_exist_ok=True)
    (tests / "__init__.py").touch()
    return tests


def derive_from_our_model(tests: Path) -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in tests.glob("test_*.py")}
    of_models = [path for path, text in texts.items() if STOCK_MODEL in text]
    if not of_models:
        sys.exit(f"No test has the line {STOCK_MODEL!r} any more: see how they import it, and write that here.")
    for path in of_models:
        path.write_text(texts[path].replace(STOCK_MODEL, OUR_MODEL), encoding="utf-8")


def run(tests: Path, *, stock: bool, others: list[str]) -> int:
    plugins = ["no:cacheprovider", "no:alternator", *([] if stock else ["on_a_cluster"])]
    pytest = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tests.parent)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH")))),
        "PYTHONDONTWRITEBYTECODE": "1",
        # What PynamoDB's own connections look for.
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "access",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    command = [*pytest, *(argument for plugin in plugins for argument in ("-p", plugin)), "tests", *others]
    return subprocess.run(command, cwd=tests.parent, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
