"""The embedded cluster from the shell."""

from __future__ import annotations

import itertools
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pynamodb_alternator.errors import AlternatorError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.shell import cli
from pynamodb_alternator.shell import local as local_command
from tests.local.wire import post

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "pynamodb_alternator", "local", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_runs_from_the_shell_until_a_signal(number: signal.Signals) -> None:
    with run("--port", "0", "--datacenters", "dc1:2,dc2:1", "--racks", "r1,r2") as shell:
        try:
            assert shell.stdout is not None
            url = shell.stdout.readline().strip()
            host, port = url.removeprefix("http://").split(":")
            lines = [shell.stdout.readline().split() for _ in range(3)]
            assert lines == [
                [f"127.0.0.1:{port}", "dc1/r1"],
                [f"127.0.0.2:{port}", "dc1/r2"],
                [f"127.0.0.3:{port}", "dc2/r1"],
            ]
            with socket.create_connection((host, int(port)), 10) as sock:
                sock.sendall(post("ListTables", {}))
                assert sock.recv(1000).endswith(b'{"TableNames":[]}')
        finally:
            shell.send_signal(number)
        assert shell.stderr is not None
        assert shell.stderr.read() == ""
    assert shell.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nodes", "0"], "nodes must be a whole number"),
        (["--datacenters", "a:x,b:1"], "--datacenters: write names"),
        (["--credentials", "alice"], "KEY:SECRET"),
        (["--credentials", "alice:a", "--credentials", "alice:b"], "the access key alice has two secrets"),
        (["--engine", "mongo"], "engine must be 'moto'"),
        (["--like", "old"], "version must be"),
        (["--tablets", "3"], "tablets must be a power of two"),
        (["--replication-factor", "0"], "replication_factor must be a whole number"),
        (["--hop-delay", "-1"], "hop_delay must be a number of seconds"),
    ],
)
def test_wrong_arguments_end_with_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = [signal.getsignal(number) for number in numbers]
    try:
        assert cli.main(["local", "--port", "0", *arguments]) == 2
    finally:
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)
    assert message in capsys.readouterr().err


def test_nohup_is_respected() -> None:
    """It has SIGHUP ignored before the program starts, which then outlives its terminal."""
    command = [sys.executable, "-m", "pynamodb_alternator", "local", "--nodes", "1", "--port", "0"]
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    finally:
        signal.signal(signal.SIGHUP, before)
    with process:
        assert process.stdout is not None
        host, port = process.stdout.readline().strip().removeprefix("http://").split(":")
        process.send_signal(signal.SIGHUP)
        with socket.create_connection((host, int(port)), 10) as sock:
            sock.sendall(post("ListTables", {}))
            assert sock.recv(1000).endswith(b'{"TableNames":[]}')
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0


@pytest.mark.parametrize(("output", "status"), [("/dev/full", 1), ("| true", 0)])
@pytest.mark.parametrize("option", ["", "--log"])
def test_an_output_that_takes_nothing(output: str, status: int, option: str) -> None:
    """A cluster whose address nobody has been told ends quietly."""
    if output == "/dev/full" and not Path(output).exists():
        pytest.skip("there is no /dev/full")
    program = f"{sys.executable} -m pynamodb_alternator local --nodes 1 --port 0 {option}"
    end = "echo ${PIPESTATUS[0]} >&2"
    line = f"{program} >{output}; {end}" if output.startswith("/") else f"{program} {output}; {end}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=100, cwd=ROOT, check=False)
    error = "error: standard output: No space left on device\n" if status else ""
    assert done.stderr == f"{error}{status}\n"


def test_no_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([])
    assert caught.value.code == 2
    assert "the following arguments are required: command" in capsys.readouterr().err


def settings_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the command makes its cluster of."""
    calls: list[Any] = []

    class Stop(AlternatorError):
        pass

    def cluster(*arguments: Any, **settings: Any) -> LocalCluster:
        calls.append((arguments, settings))
        raise Stop("enough")

    import pynamodb_alternator.local as local

    monkeypatch.setattr(local, "LocalCluster", cluster)
    assert cli.main(["local", *arguments]) == 2
    ((positional, settings),) = calls
    return positional, settings


def test_the_credentials_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("--nodes", "5", "--credentials", "a:b:c", "--credentials", "d:e", "--tls")
    (nodes,), settings = settings_of(monkeypatch, *arguments)
    assert (nodes, settings["port"], settings["tls"]) == (5, 8000, True)
    assert settings["credentials"] == {"a": "b:c", "d": "e"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), (3, 16, 0.0)),
        (("--replication-factor", "2", "--tablets", "8", "--hop-delay", "0.005"), (2, 8, 0.005)),
        (("--tablets", "0"), (3, None, 0.0)),
    ],
)
def test_the_replicas_of_the_shell(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], expected: tuple[object, ...]
) -> None:
    _, settings = settings_of(monkeypatch, *arguments)
    assert (settings["replication_factor"], settings["tablets"], settings["hop_delay"]) == expected


PUT = {"TableName": "users", "Item": {"name": {"S": "bob"}}}
SEED = (
    '{"CreateTable": {"TableName": "users", "BillingMode": "PAY_PER_REQUEST", '
    '"KeySchema": [{"AttributeName": "name", "KeyType": "HASH"}], '
    '"AttributeDefinitions": [{"AttributeName": "name", "AttributeType": "S"}]}}\n'
    '{"table": "users", "item": {"name": "alice"}}\n'
)


def address_of(line: str) -> tuple[str, int]:
    host, port = line.strip().removeprefix("http://").split(":")
    return host, int(port)


def test_data_is_kept_between_runs_and_requests_are_logged(tmp_path: Path) -> None:
    seed, kept = tmp_path / "seed.jsonl", tmp_path / "kept.jsonl"
    seed.write_text(SEED)
    with run("--port", "0", "--nodes", "1", "--seed", str(seed), "--persist", str(kept), "--log") as shell:
        try:
            assert shell.stdout is not None
            assert shell.stdout.readline() == f"1 items from {seed}\n"
            with socket.create_connection(address_of(shell.stdout.readline()), 10) as sock:
                sock.sendall(post("PutItem", PUT))
                assert sock.recv(1000).startswith(b"HTTP/1.1 200")
            # The request may be logged before all of what is said at the start was printed.
            lines = "".join(shell.stdout.readline() for _ in range(3))
            assert re.search(r":\d+ PutItem users token=-?\d+ 200 \d+\.\d ms replica shard=\d+$", lines, re.MULTILINE)
        finally:
            shell.send_signal(signal.SIGTERM)
        assert shell.stderr is not None
        assert shell.stderr.read() == ""
    with run("--port", "0", "--nodes", "1", "--persist", str(kept)) as shell:
        try:
            assert shell.stdout is not None
            assert shell.stdout.readline() == f"2 items from {kept}\n"
            with socket.create_connection(address_of(shell.stdout.readline()), 10) as sock:
                sock.sendall(post("Scan", {"TableName": "users"}))
                assert b'"Count":2' in sock.recv(1000)
        finally:
            shell.send_signal(signal.SIGINT)
    assert shell.returncode == 0


@pytest.mark.parametrize("option", ["--seed", "--persist"])
def test_a_file_that_is_not_there_or_cannot_be_written(option: str, tmp_path: Path) -> None:
    with run("--port", "0", "--nodes", "1", option, str(tmp_path / "missing" / "file")) as shell:
        assert shell.stderr is not None
        assert shell.stdout is not None
        assert "cannot be" in shell.stderr.read()
        assert shell.stdout.read() == "", "it was not said to run"
    assert shell.returncode == 2


def test_a_save_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(local_command, "_SAVE_SECONDS", 0.001)
    over = threading.Event()

    class Cluster:
        nodes = (SimpleNamespace(operations={"PutItem": 0}),)
        saves = 0

        def save(self, path: str) -> None:
            self.saves += 1
            if self.saves == 1:
                raise AlternatorError("the disk is full.")
            over.set()

    cluster: Any = Cluster()
    monkeypatch.setattr(local_command, "_writes", lambda of: next(counts))
    counts = itertools.chain([0], itertools.repeat(1))
    local_command._keep_saved(cluster, "file", over)
    assert cluster.saves == 3, "one that failed, one that did not, and the last"
    assert capsys.readouterr().err == "the disk is full. It is tried again in 0.001 seconds.\n"
