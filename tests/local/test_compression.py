"""Compression at the embedded cluster, in both directions and by the server's rules."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator

import pytest

from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.local.compression import chosen_encoding

from .wire import PREFIX, Wire, create, s

PUT = json.dumps({"TableName": "tab", "Item": {"k": s("a"), "v": s("x" * 5000)}}).encode()
GET = json.dumps({"TableName": "tab", "Key": {"k": s("a")}}).encode()


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(1, max_body=100_000, response_compression=True, chunk_threshold=20_000) as running:
        create(running)
        yield running
    assert running.failures == []


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(PUT)),
        ("GZIP", gzip.compress(PUT[:10]) + gzip.compress(PUT[10:])),
        ("deflate", zlib.compress(PUT)),
        ("identity", PUT),
        ("", PUT),
    ],
    ids=["gzip", "two members", "deflate", "identity", "none"],
)
def test_a_node_unpacks_requests(cluster: LocalCluster, encoding: str, body: bytes) -> None:
    with Wire(cluster.nodes[0]) as wire:
        assert wire.raw("PutItem", body, {"Content-Encoding": encoding})[0] == 200
        assert wire.ok("Scan", {"TableName": "tab"})["Count"] == 1
    assert cluster.nodes[0].requests[-2].body_size == len(body)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", PUT),
        ("gzip", gzip.compress(PUT)[:-1]),
        ("gzip", gzip.compress(PUT) + b"more"),
        ("gzip", b""),
        ("gzip", zlib.compress(PUT)),
        ("deflate", zlib.compress(PUT)[2:-4]),
        ("deflate", zlib.compress(PUT) + b"more"),
        ("br", PUT),
        ("gzip, gzip", gzip.compress(gzip.compress(PUT))),
    ],
    ids=["plain", "short", "long", "empty", "zlib", "raw", "long zlib", "br", "twice"],
)
def test_what_cannot_be_decoded_is_a_500(cluster: LocalCluster, encoding: str, body: bytes) -> None:
    with Wire(cluster.nodes[0]) as wire:
        status, headers, answer = wire.raw("PutItem", body, {"Content-Encoding": encoding})
        assert (status, json.loads(answer)["__type"]) == (500, PREFIX + "InternalServerError")
        assert headers["content-encoding"] is None
        assert wire.ok("Scan", {"TableName": "tab"})["Count"] == 0


def test_a_bomb_is_a_413(cluster: LocalCluster) -> None:
    for body in (gzip.compress(b" " * 100_001), gzip.compress(b" " * 60_000) * 2, gzip.compress(b" " * 90_000_000)):
        with Wire(cluster.nodes[0]) as wire:
            status, _, answer = wire.raw("PutItem", body, {"Content-Encoding": "gzip"})
            assert (status, json.loads(answer)["__type"]) == (413, PREFIX + "PayloadTooLarge")


def test_servers_before_2026_1_take_a_compressed_body_for_bad_json() -> None:
    with LocalCluster(1, version="2025.4", response_compression=True) as cluster, Wire(cluster.nodes[0]) as wire:
        create(cluster)
        status, _, answer = wire.raw("PutItem", gzip.compress(PUT), {"Content-Encoding": "gzip"})
        assert (status, json.loads(answer)["__type"]) == (400, PREFIX + "ValidationException")
        assert wire.raw("PutItem", PUT)[0] == 200
        assert wire.raw("GetItem", GET, {"Accept-Encoding": "gzip"})[1]["content-encoding"] is None


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_node_compresses_answers(cluster: LocalCluster, encoding: str) -> None:
    with Wire(cluster.nodes[0]) as wire:
        wire.raw("PutItem", PUT)
        plain = wire.raw("GetItem", GET)
        assert plain[1]["content-encoding"] is None
        _, headers, body = wire.raw("GetItem", GET, {"Accept-Encoding": encoding})
        assert (headers["content-encoding"], headers["content-length"]) == (encoding, str(len(body)))
        assert len(body) < 300
        assert zlib.decompress(body, 16 + 15 if encoding == "gzip" else 15) == plain[2]


def test_short_answers_errors_and_discovery_are_never_compressed(cluster: LocalCluster) -> None:
    accept = {"Accept-Encoding": "gzip"}
    with Wire(cluster.nodes[0]) as wire:
        assert wire.raw("ListTables", b"{}", accept)[1]["content-encoding"] is None
        wrong = json.dumps({"TableName": "tab", "Key": {"x" * 5000: s("a")}}).encode()
        assert wire.raw("GetItem", wrong, accept)[1]["content-encoding"] is None
        cluster.nodes[0].lie(["10.0.0.1"] * 1000)
        assert wire.send("GET", "/localnodes", headers=accept)[1]["content-encoding"] is None


def test_the_threshold_is_met_exactly() -> None:
    answer = len(b'{"TableNames":["tab"]}')
    for threshold, expected in [(answer, "gzip"), (answer + 1, None)]:
        with LocalCluster(1, response_compression=True, compression_threshold=threshold) as cluster:
            create(cluster)
            with Wire(cluster.nodes[0]) as wire:
                assert wire.raw("ListTables", b"{}", {"Accept-Encoding": "gzip"})[1]["content-encoding"] == expected


def test_chunked_answers_are_compressed_whatever_their_length() -> None:
    with LocalCluster(1, response_compression=True, chunk_threshold=10) as cluster, Wire(cluster.nodes[0]) as wire:
        create(cluster)
        wire.ok("PutItem", {"TableName": "tab", "Item": {"k": s("a")}})
        _, headers, body = wire.raw("Scan", b'{"TableName":"tab"}', {"Accept-Encoding": "gzip"})
        assert (headers["content-encoding"], headers["transfer-encoding"]) == ("gzip", "chunked")
        assert json.loads(gzip.decompress(body))["Count"] == 1


def test_it_is_off_unless_asked_for() -> None:
    with LocalCluster(1) as cluster, Wire(cluster.nodes[0]) as wire:
        create(cluster)
        wire.raw("PutItem", PUT)
        assert wire.raw("GetItem", GET, {"Accept-Encoding": "gzip"})[1]["content-encoding"] is None


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("Deflate", "deflate"),
        ("gzip, deflate", "gzip"),
        ("deflate, gzip", "deflate"),
        ("gzip;q=0.5, deflate", "deflate"),
        ("gzip;q=0", None),
        ("gzip;q=0.1, identity", None),
        ("br, zstd", None),
        ("*", "gzip"),
        ("gzip;q=0, *", "deflate"),
        ("gzip ; Q = 0.2 , deflate ; q=0.1", "gzip"),
        ("gzip;q=x", "gzip"),
    ],
)
def test_a_node_chooses_an_accepted_encoding(accepted: str, expected: str | None) -> None:
    assert chosen_encoding(accepted) == expected
