"""The shell commands: what they print, and with which status they end."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pynamodb_alternator import Cluster
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.shell import bench, cli, screen, settings
from tests.diagnostics.support import set_aside

from .support import Run, in_terminal


def create(cluster: Cluster, name: str = "orders", kind: str = "S", *, sort: bool = False) -> None:
    attributes = [{"AttributeName": "customer", "AttributeType": kind}]
    schema = [{"AttributeName": "customer", "KeyType": "HASH"}]
    if sort:
        attributes.append({"AttributeName": "number", "AttributeType": "N"})
        schema.append({"AttributeName": "number", "KeyType": "RANGE"})
    cluster.client.create_table(
        TableName=name, AttributeDefinitions=attributes, KeySchema=schema, BillingMode="PAY_PER_REQUEST"
    )


def written_operations(local: LocalCluster) -> set[str]:
    return {request.operation for node in local.nodes for request in node.requests} & {
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "BatchWriteItem",
    }


@contextlib.contextmanager
def web_server() -> Iterator[str]:
    """The URL of a server that is not Alternator: it answers ``GET /``, and refuses every POST with a page."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


# ---- nodes ------------------------------------------------------------------------------------------------------


def test_the_command_nodes_prints_a_table(local: LocalCluster, at: Run) -> None:
    local[2].kill(still_listed=True)
    status, out, _ = at("nodes")
    lines = out.splitlines()
    assert status == 0
    assert lines[0].split() == ["address", "datacenter", "rack", "state", "latency"]
    assert lines[1].split()[:4] == [local[0].address, "datacenter1", "rack1", "active"]
    assert lines[3].split()[:4] == [local[2].address, "datacenter1", "rack1", "down"]
    assert "refused" in out
    assert "3 nodes, 2 of them answer" in out


def test_the_command_nodes_prints_json(local: LocalCluster, at: Run) -> None:
    local[2].kill(still_listed=True)
    status, out, _ = at("nodes", "--json")
    printed = json.loads(out)
    assert status == 0
    assert printed["scope"] == "cluster"
    assert [node["address"] for node in printed["nodes"]] == local.addresses
    assert [node["state"] for node in printed["nodes"]] == ["active", "active", "down"]
    assert printed["nodes"][0]["latency_ms"] > 0
    assert printed["nodes"][2]["latency_ms"] is None


def test_a_node_that_is_set_aside(
    local: LocalCluster, cluster: Cluster, at: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_aside(cluster, local[1].address, monkeypatch)
    monkeypatch.setattr(settings, "open_cluster", lambda options, **_: contextlib.nullcontext(cluster))
    status, out, _ = at("nodes")
    assert status == 0
    assert out.splitlines()[2].split()[3] == "set_aside"
    assert f"{local[1].address} goes last for" in out
    assert "3 nodes, 3 of them answer" in out
    told = json.loads(at("nodes", "--json")[1])["nodes"][1]
    assert told["state"] == "set_aside"
    assert told["latency_ms"] > 0
    assert "status 503" in told["error"]
    assert "! set aside" in at("check")[1]
    (finding,) = (
        finding for finding in json.loads(at("check", "--json")[1])["findings"] if finding["id"] == "set_aside"
    )
    assert (finding["severity"], finding["subject"]) == ("warning", local[1].address)
    assert "status 503" in finding["message"]
    assert finding["remedy"]


def test_nodes_in_a_narrow_terminal(local: LocalCluster, at: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    _, out, _ = at("nodes")
    assert max(map(len, out.splitlines())) <= 40
    assert re.search(rf"^{re.escape(local[0].address)}\n  datacenter  datacenter1\n  rack", out, re.MULTILINE)


def test_the_command_nodes_fails_if_no_node_answers(run: Run, local: LocalCluster) -> None:
    for node in local.nodes:
        node.kill()
    status, out, _ = run("nodes", "--url", local.url, "--timeout", "0.5")
    assert status == 1
    assert "1 node, which does not answer;" in out


def test_nodes_of_a_server_that_denies_the_system_tables(run: Run) -> None:
    with LocalCluster(nodes=2, deny_virtual_tables=True) as local:
        status, out, _ = run("nodes", "--url", local.url)
    assert status == 0
    assert "the system tables may not be read" in out


# ---- route ------------------------------------------------------------------------------------------------------


def test_the_command_route_prints_the_nodes(cluster: Cluster, at: Run) -> None:
    create(cluster)
    route = _route_of(cluster, "alice")
    status, out, _ = at("route", "orders", "alice")
    assert status == 0
    assert f"hash           {route.hash}" in out
    assert "customer = alice (S)" in out
    assert "write isolation only_rmw_uses_lwt" in out
    assert "ring           cluster: 3 nodes, sorted by endpoint\n" in out
    plan = re.findall(r"^ +\d  (\S+)$", out, re.MULTILINE)
    assert plan == list(route.nodes)


def _route_of(cluster: Cluster, key: Any) -> Any:
    cluster.register_table("orders", "customer")
    return cluster.route("orders", key)


def test_route_for_machines_asks_nothing_if_it_need_not(local: LocalCluster, cluster: Cluster, at: Run) -> None:
    status, out, _ = at("route", "orders", "7", "--type", "N", "--partition-key", "customer", "--json")
    printed = json.loads(out)
    route = _route_of(cluster, 7)
    assert status == 0
    assert (printed["hash"], printed["nodes"], printed["reason"]) == (route.hash, list(route.nodes), None)
    assert printed["type"] == "N"
    assert (printed["ring_scope"], printed["ring_order"]) == ("cluster", "endpoint")
    assert [node.requests for node in local.nodes] == [[], [], []]


def test_route_takes_the_type_from_the_table(cluster: Cluster, at: Run) -> None:
    create(cluster, kind="B")
    status, out, _ = at("route", "orders", "AAE=", "--json")
    assert status == 0
    assert json.loads(out)["hash"] == _route_of(cluster, b"\x00\x01").hash


def test_the_command_route_shows_nodes_that_do_not_answer(local: LocalCluster, cluster: Cluster, at: Run) -> None:
    create(cluster)
    local[2].kill(still_listed=True)
    _, out, _ = at("route", "orders", "alice")
    assert re.search(rf"{re.escape(local[2].address)} +does not answer", out)


def test_route_shows_replicas_if_it_is_asked_to(local: LocalCluster, cluster: Cluster, run: Run, at: Run) -> None:
    create(cluster)
    _, out, _ = at("route", "orders", "alice")
    assert "Add --token-aware" in out
    assert _ring_questions(local) == 0
    _, out, _ = at("route", "orders", "alice", "--token-aware", "--json")
    printed = json.loads(out)
    assert set(printed["replicas"]) == {node.address for node in local.replicas("orders", "alice")}
    assert printed["token"] is not None
    assert _ring_questions(local) == 1
    _, out, _ = run("route", "orders", "alice", "--url", local.url + "/?token_aware=true")
    assert re.search(r"^replicas +127\.0\.0\.1", out, re.MULTILINE)
    assert _ring_questions(local) == 2


def _ring_questions(local: LocalCluster) -> int:
    return sum("token_ring" in (request.table or "") for node in local.nodes for request in node.requests)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["order", "a"], "no table 'order'. Did you mean 'orders'?"),
        (["zzz", "a"], "It has: orders."),
        (["orders", "a", "--type", "N"], "customer of orders is of type S. Leave out --type."),
        (["orders", "x", "--type", "N", "--partition-key", "customer"], "write it in digits (got 'x')"),
        (["orders", "NaN", "--type", "N", "--partition-key", "customer"], "write it in digits"),
        (["orders", "?", "--type", "B", "--partition-key", "customer"], "write it in base64"),
        (["orders", "a", "--partition-key", ""], "--partition-key: write the name"),
        (["orders", "a", "--index", "by_city"], "orders has no index 'by_city'. Its indexes are: none."),
        (["orders", "a", "--type", "X"], "'X' is not known. Write one of: S, N, B."),
        (["orders"], "the following arguments are required: KEY"),
    ],
)
def test_mistakes_in_route_end_with_status_2(cluster: Cluster, at: Run, arguments: list[str], said: str) -> None:
    create(cluster)
    status, out, err = at("route", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert said in err


# ---- check ------------------------------------------------------------------------------------------------------


def test_check_of_a_healthy_cluster(local: LocalCluster, at: Run) -> None:
    status, out, _ = at("check")
    assert status == 0
    assert "no warnings, no errors" in out
    assert all(address in out for address in local.addresses)


def test_check_with_a_warning(local: LocalCluster, at: Run) -> None:
    local[1].kill(still_listed=True)
    status, out, _ = at("check")
    assert status == 0
    assert re.search(r"^! reachability +127\.0\.0\.2:\d+: ", out, re.MULTILINE)
    assert "1 warning, no errors" in out
    assert at("check", "--strict")[0] == 1


def test_check_with_an_error(run: Run, at: Run) -> None:
    with LocalCluster(nodes=1, credentials={"alice": "s3cr3t"}) as local:
        status, out, _ = run("check", "--url", local.url, "--json")
    assert status == 1
    printed = json.loads(out)
    assert (printed["errors"], printed["warnings"]) == (1, 0)
    (error,) = (finding for finding in printed["findings"] if finding["severity"] == "error")
    assert error["id"] == "authentication"
    assert "ALTERNATOR_ACCESS_KEY" in error["remedy"]


def test_credentials_come_from_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALTERNATOR_ACCESS_KEY", "alice")
    monkeypatch.setenv("ALTERNATOR_SECRET_KEY", "s3cr3t")
    with LocalCluster(nodes=1, credentials={"alice": "s3cr3t"}) as local:
        status, out, err = run("check", "--url", local.url)
    assert status == 0, out
    assert "takes ours" in out
    assert "s3cr3t" not in out + err


def test_check_in_a_narrow_terminal(at: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    _, out, _ = at("check")
    assert max(map(len, out.splitlines())) <= 44


def test_the_command_check_works_over_tls(run: Run) -> None:
    with LocalCluster(nodes=1, tls=True) as local:
        assert run("check", "--url", local.url)[0] == 1
        assert run("check", "--url", local.url, "--ca", str(local.tls.ca_file))[0] == 0
        status, out, err = run("check", "--url", local.url, "--insecure")
    assert status == 0, out
    assert err == ""


# ---- bench ------------------------------------------------------------------------------------------------------


def test_bench_reads_and_writes_nothing(local: LocalCluster, cluster: Cluster, at: Run) -> None:
    create(cluster)
    status, out, _ = at("bench", "orders", "--requests", "60", "--threads", "3")
    assert status == 0, out
    assert "nothing is written" in out
    assert re.search(r"^ +60 ", out, re.MULTILINE)
    assert "p99" in out
    assert written_operations(local) == set()
    assert sum(request.operation == "GetItem" for node in local.nodes for request in node.requests) == 60


@pytest.mark.parametrize(("kind", "sort"), [("S", False), ("N", False), ("B", True)])
def test_bench_that_writes_leaves_nothing(
    local: LocalCluster, cluster: Cluster, at: Run, kind: str, sort: bool
) -> None:
    create(cluster, kind=kind, sort=sort)
    status, out, _ = at("bench", "orders", "--requests", "40", "--keys", "30", "--write", "--json")
    printed = json.loads(out)
    assert status == 0, printed
    assert (printed["operation"], printed["requests"], printed["not_deleted"]) == ("PutItem", 40, 0)
    assert sum(printed["nodes"].values()) == 40
    assert printed["latency_ms"]["p50"] <= printed["latency_ms"]["p99"] <= printed["latency_ms"]["max"]
    assert cluster.client.scan(TableName="orders")["Count"] == 0
    assert "PutItem" in written_operations(local)


def test_bench_ends_in_time(cluster: Cluster, at: Run) -> None:
    create(cluster)
    _, out, _ = at("bench", "orders", "--requests", "1000000", "--seconds", "0.3", "--json")
    assert 0.3 <= json.loads(out)["seconds"] < 3


def test_bench_tells_failures(local: LocalCluster, cluster: Cluster, at: Run) -> None:
    create(cluster)
    for node in local.nodes:
        node.fail_with("ValidationException", times=None, operation="GetItem", message="nothing today")
    status, out, _ = at("bench", "orders", "--requests", "8")
    assert status == 1
    assert "8 failed: ValidationException: nothing today" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "It has no table at all"),
        (["orders", "--requests", "0"], "write a whole number from 1 to 1000000 (got '0')"),
        (["orders", "--seconds", "1h"], "write a number from 0.1 to 300 (got '1h')"),
        (["orders", "--threads", "1000"], "from 1 to 64"),
        (["orders", "--seconds", "nan"], "from 0.1 to 300"),
    ],
)
def test_mistakes_in_bench_end_with_status_2(at: Run, arguments: list[str], said: str) -> None:
    status, out, err = at("bench", *arguments)
    assert (status, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(("query", "is_read"), [("", False), ("/?token_aware=true", True)])
def test_bench_reads_the_token_ring_only_if_it_is_asked_to(
    local: LocalCluster, cluster: Cluster, run: Run, query: str, is_read: bool
) -> None:
    create(cluster)
    query = f"{query}{'&' if query else '/?'}token_aware_after=1"
    status, _, _ = run("bench", "orders", "--requests", "50", "--url", local.url + query)
    assert status == 0
    assert (_ring_questions(local) > 0) == is_read


def test_percentiles_are_computed() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [bench.percentile(values, share) for share in (0.5, 0.9, 0.99, 1.0)] == [50, 90, 99, 100]
    assert bench.percentile([7.0], 0.01) == 7


# ---- mistakes in what all commands share ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nods"], "'nods' is not known. Did you mean 'nodes'?"),
        (["frobnicate"], "Write one of: nodes, clients, route, check, tables,"),
        (["nodes"], "Add --url http://10.0.0.1:8000, or set the environment variable ALTERNATOR_URL."),
        (["nodes", "--url", "10.0.0.1"], "has no scheme"),
        (["nodes", "--url", "http://a:b@10.0.0.1"], "ALTERNATOR_ACCESS_KEY"),
        (["check", "--url", "http://127.0.0.1:1", "--timeout", "soon"], "write a number from 0.001 to 3600"),
        (["check", "--url", "http://127.0.0.1:1", "--rack", "r1"], "without its datacenter"),
        (["check", "--url", "http://127.0.0.1:1", "--ca", "x.pem"], "Write https:// in the URL"),
        (["check", "--url", "https://127.0.0.1:1", "--ca", "/no/such/file"], "cannot be read"),
        (["check", "--frob"], "unrecognized arguments: --frob"),
    ],
)
def test_a_mistake_ends_with_status_2(run: Run, arguments: list[str], said: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert said in err


def test_half_of_the_credentials(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALTERNATOR_ACCESS_KEY", "alice")
    status, _, err = run("nodes", "--url", "http://127.0.0.1:1")
    assert status == 2
    assert "ALTERNATOR_SECRET_KEY is not set" in err


def test_the_url_of_the_environment(run: Run, local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALTERNATOR_URL", local.url)
    assert run("nodes")[0] == 0


def test_no_secret_can_be_given_on_the_command_line(run: Run) -> None:
    for command in ("nodes", "route", "check", "bench"):
        status, out, _ = run(command, "--help")
        assert status == 0
        assert "--secret" not in out
        assert "ALTERNATOR_SECRET_KEY" in out


def test_the_option_prints_the_version(run: Run) -> None:
    assert re.match(r"\d+\.\d+", run("--version")[1])


# ---- how it looks -----------------------------------------------------------------------------------------------


def test_a_terminal_gets_colours(local: LocalCluster) -> None:
    pytest.importorskip("rich")
    status, out = in_terminal(["nodes"], local.url)
    assert status == 0
    assert "\x1b[32mactive" in out


@pytest.mark.parametrize("columns", [24, 90])
def test_a_terminal_gets_a_chart_that_moves(local: LocalCluster, cluster: Cluster, columns: int) -> None:
    pytest.importorskip("rich")
    create(cluster)
    status, out = in_terminal(["bench", "orders", "--seconds", "1", "--requests", "1000000"], local.url, columns)
    assert status == 0, out
    assert len(re.findall(r"\d+ done, 0 failed", out)) > 1
    assert "█" in out
    assert "p99" in out


def test_the_same_without_rich(local: LocalCluster, at: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        encoding = "ascii"

        def isatty(self) -> bool:
            return True

    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(["nodes", "--url", local.url]) == 0
    assert cli.main(["check", "--url", local.url]) == 0
    text = out.getvalue()
    assert "\x1b" not in text
    assert text.isascii()
    assert "+ topology" in text


def test_importing_the_package_imports_neither_rich_nor_the_shell() -> None:
    code = (
        "import sys, pynamodb_alternator;"
        "print([name for name in sys.modules if name.split('.')[0] == 'rich' or 'diagnostics' in name"
        " or name.startswith('pynamodb_alternator.shell')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_wide_characters_count_twice() -> None:
    assert [screen.width(text) for text in ("abc", "日本", "e\u0301")] == [3, 4, 1]
    assert screen.pad("日本", 6) == "日本  "


def test_text_that_the_terminal_does_not_have() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    shown = screen.Screen(out=out)
    shown.line(("käse", screen.BAD))
    out.seek(0)
    assert out.read() == "k?se\n"


@pytest.fixture
def options() -> Any:
    parser = cli.make_parser()
    return lambda *words: parser.parse_args(["nodes", *words])


def test_settings_become_a_configuration(options: Any) -> None:
    parsed = options("--url", "http://127.0.0.1:1", "--datacenter", "dc1", "--rack", "r1", "--timeout", "3")
    with settings.open_cluster(parsed, {}) as cluster:
        config = cluster.config
    assert str(config.routing_scope) == "rack r1 of datacenter dc1"
    assert (config.timeouts.connect, config.timeouts.read, config.timeouts.total) == (3, 3, 6)


def test_nodes_of_a_wrong_datacenter_say_what_the_check_knows(at: Run) -> None:
    status, out, _ = at("nodes", "--datacenter", "datacentre1")
    assert status == 1
    assert "Did you mean 'datacenter1'? The cluster has: datacenter1 (racks rack1)." in " ".join(out.split())
    status, out, _ = at("nodes", "--datacenter", "datacentre1", "--json")
    assert status == 1
    assert [finding["id"] for finding in json.loads(out)["findings"]] == ["routing_scope"]
    assert json.loads(at("nodes", "--json")[1])["findings"] == []
    # The datacenter has nodes, and the rack has none: requests fail just the same.
    status, out, _ = at("nodes", "--datacenter", "datacenter1", "--rack", "rack9")
    assert status == 1
    assert "Did you mean 'rack1'?" in out


def test_a_port_that_is_not_alternators(run: Run) -> None:
    """Seen: the check found no error, because ``GET /`` is answered by every web server."""
    with web_server() as url:
        status, out, _ = run("check", "--url", url)
        assert status == 1
        assert "ListTables was refused. The server says: status 501\n" in out
        assert "Is that the port of Alternator?" in out
        status, out, _ = run("tables", "--url", url)
        assert (status, out) == (1, "The tables cannot be listed: 501\n")
        status, out, _ = run("route", "orders", "alice", "--url", url)
        assert status == 1
        assert "The table's definition could not be read (501)." in " ".join(out.split())


def test_a_cluster_that_does_not_answer_in_time(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        status, _, err = run("tables", "--url", f"http://{address}", "--timeout", "0.2")
    assert status == 1
    # Which limit ends the wait is a matter of milliseconds. Seen: "No node ... is usable ()".
    assert (
        f"no usable node has answered GET / yet ({address})" in err
        or f"Node {address} has not answered GET / yet" in err
    )


def test_the_route_on_a_dead_cluster(run: Run) -> None:
    for more in ([], ["--partition-key", "customer"]):
        status, out, _ = run("route", "orders", "alice", "--url", "http://127.0.0.1:1", *more)
        assert status == 1
        assert "No node answers." in out


def test_nodes_say_what_is_switched_off(local: LocalCluster, run: Run) -> None:
    url = f"{local.url}/?discovery_enabled=no&health_enabled=no"
    status, out, _ = run("nodes", "--url", url)
    assert status == 0
    assert "1 node, which answers" in out
    assert "Discovery is switched off: these are the seeds." in out
    assert "Health checks are switched off" in out
    assert len(json.loads(run("nodes", "--url", url, "--json")[1])["notes"]) == 2
    assert run("check", "--url", url)[0] == 0
