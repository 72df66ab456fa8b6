"""Commands whose output is closed, full, or ends up in a script; and those that go on until Ctrl-C."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from pynamodb_alternator import Cluster
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.shell import cli, completion
from tests.local.wire import until

from .support import PROGRAM, Run, in_terminal, start

FULL = Path("/dev/full")


def in_shell(command: str, url: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which PROGRAM is our program."""
    line = command.replace("PROGRAM", shlex.join(PROGRAM))
    env = {**os.environ, "ALTERNATOR_URL": url}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, env=env, check=False)


@pytest.mark.parametrize("command", ["nodes", "nodes --json", "check"])
def test_a_closed_output_is_not_an_error(local: LocalCluster, command: str) -> None:
    done = in_shell(f"PROGRAM {command} >&-", local.url)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["nodes", "nodes --json", "check", "completion bash"])
def test_a_full_output_is_reported_in_one_line(local: LocalCluster, command: str, unbuffered: str) -> None:
    done = in_shell(f"PYTHONUNBUFFERED={unbuffered} PROGRAM {command} >{FULL}", local.url)
    assert (done.returncode, done.stderr) == (1, "error: standard output: No space left on device\n")


@pytest.mark.parametrize("command", ["nodes", "nodes --json", "completion fish"])
def test_a_reader_that_has_seen_enough(local: LocalCluster, command: str) -> None:
    done = in_shell(f"PROGRAM {command} | true; echo ${{PIPESTATUS[0]}}", local.url)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_nodes_are_watched_until_a_signal(local: LocalCluster) -> None:
    with start("nodes", "--watch", "0.1", "--json", url=local.url) as process:
        assert process.stdout is not None
        looks = [json.loads(process.stdout.readline()) for _ in range(2)]
        local.nodes[0].kill(still_listed=True)
        while len([node for node in looks[-1]["nodes"] if node["state"] == "active"]) != 2:
            looks.append(json.loads(process.stdout.readline()))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert looks[0]["time"] <= looks[1]["time"]
    assert [node["address"] for node in looks[0]["nodes"]] == local.addresses


def test_nodes_are_watched_in_a_file(local: LocalCluster, tmp_path: Path) -> None:
    path = tmp_path / "looks"
    with path.open("w") as file, start("nodes", "--watch", "0.1", url=local.url, stdout=file) as process:
        until(lambda: path.read_text().count("3 nodes, 3 of them answer") > 1, seconds=60)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert "\x1b" not in path.read_text()


def test_the_status_of_a_watched_cluster_is_that_of_the_last_look(local: LocalCluster) -> None:
    with start("nodes", "--watch", "0.1", "--json", "--timeout", "0.5", url=local.url) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for node in local.nodes:
            node.kill(still_listed=True)
        while any(node["state"] == "active" for node in json.loads(process.stdout.readline())["nodes"]):
            pass
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 1


@pytest.mark.parametrize("columns", [24, 32, 60])
def test_labels_survive_a_narrow_terminal(local: LocalCluster, columns: int) -> None:
    _, out = in_terminal(["nodes"], local.url, columns)
    for label in ("datacenter", "rack", "state", "latency"):
        assert label in out
    _, out = in_terminal(["route", "orders", "alice", "--partition-key", "customer"], local.url, columns)
    for label in ("table", "affinity", "token", "replicas"):
        assert label in out
    _, out = in_terminal(["check"], local.url, columns)
    assert "response compression" in out
    create_orders(local.url)
    _, out = in_terminal(["bench", "orders", "--requests", "10"], local.url, columns)
    for label in ("requests", "per second", "p99"):
        assert label in out


def create_orders(url: str) -> None:
    with Cluster(url) as cluster:
        cluster.client.create_table(
            TableName="orders",
            AttributeDefinitions=[{"AttributeName": "customer", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "customer", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_without_unicode(local: LocalCluster, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """rich draws with characters of its own."""
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    status, out = in_terminal(["nodes"], local.url)
    assert status == 0
    assert "Traceback" not in out
    assert "3 nodes, 3 of them answer" in out
    assert ("\x1b" in out) == (encoding == "utf-8")


# ---- completion --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["no"], {"nodes"}),
        (["c"], {"clients", "check", "create-tables", "completion"}),
        (["nodes", "--wa"], {"--watch"}),
        (["route", "--t"], {"--type", "--timeout", "--token-aware"}),
        (["route", "--type", ""], {"S", "N", "B"}),
        (["check", "--format", "j"], {"json"}),
        (["nodes", "--ca", ""], set()),  # then bash offers files
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["frobnicate", "--"], set()),
    ],
)
def test_bash_completes_commands(run: Run, words: list[str], expected: set[str]) -> None:
    script = run("completion", "bash")[1]
    typed = " ".join(shlex.quote(word) for word in ["pynamodb-alternator", *words])
    line = f"set -u\n{script}\nCOMP_WORDS=({typed}); COMP_CWORD={len(words)}; _pynamodb_alternator\n"
    line += 'echo "${COMPREPLY[@]-}"'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=True)
    assert (set(done.stdout.split()), done.stderr) == (expected, "")


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_completion_names_every_command(run: Run, shell: str) -> None:
    status, script, _ = run("completion", shell)
    assert status == 0
    for name in ("nodes", "clients", "route", "check", "tables", "create-tables", "bench", "local", "completion"):
        assert name in script
    checker = shutil.which(shell)
    if checker is not None:
        done = subprocess.run([checker, "-n"], input=script, text=True, capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_completion_says_how_it_is_installed(run: Run) -> None:
    assert 'eval "$(pynamodb-alternator completion bash)"' in run("completion", "--help")[1]
    assert "'cash' is not known. Did you mean 'bash'?" in run("completion", "cash")[2]


def test_every_command_is_one_that_runs() -> None:
    parser = cli.make_parser()
    for name in ("nodes", "clients", "tables"):
        assert callable(parser.parse_args([name]).run)
