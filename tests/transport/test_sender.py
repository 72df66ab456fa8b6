"""The body and the headers of one call, and texts that would end a header."""

from __future__ import annotations

import gc
import traceback
from typing import Any

import pytest

from pynamodb_alternator import ClusterConfig, Credentials, Deflate, Gzip
from pynamodb_alternator.errors import ConfigurationError, RequestRefusedError
from pynamodb_alternator.settings.options import NO_OPTIONS, RequestOptions
from pynamodb_alternator.settings.scopes import ClusterScope
from pynamodb_alternator.topology.localnodes import NodeFilter
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.compression import compress, decompress
from pynamodb_alternator.transport.credentials import Signers
from pynamodb_alternator.transport.lanes import Sender
from pynamodb_alternator.transport.pool import Pools
from pynamodb_alternator.transport.request import MAX_BODY, build_get, build_head
from pynamodb_alternator.transport.signing import Signer

SECRET = "wJalrXUtnFEMI-THE-SECRET"
INJECTIONS = ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\0b", "\r\n", "a\r\n\r\nPOST / HTTP/1.1"]


@pytest.mark.parametrize("evil", INJECTIONS)
def test_what_is_not_checked_before_is_refused_when_the_request_is_written(evil: str) -> None:
    for write in (
        lambda: build_head(evil, "h", 0),
        lambda: build_head("t", evil, 0),
        lambda: build_head("t", "h", 0, [(evil, "v")]),
        lambda: build_head("t", "h", 0, [("X-A", evil)]),
        lambda: build_get("/" + evil, "h"),
        lambda: build_get("/", evil),
    ):
        with pytest.raises(RequestRefusedError):
            write()
    # A model's region is not checked by PynamoDB.
    with pytest.raises(ConfigurationError, match="region") as caught:
        Signer("a", SECRET, region=evil)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_listed_address_cannot_end_the_host_header() -> None:
    source = Node("http", "10.0.0.1", 8000)
    for evil in INJECTIONS:
        for address in (
            NodeFilter().node(f"10.0.0.2{evil}", source, ClusterScope(), {}),
            NodeFilter(translate=lambda _, evil=evil: evil).node("10.0.0.2", source, ClusterScope(), {}),
        ):
            # Refused; or it was space around the address, which is not part of it.
            assert isinstance(address, str) or address.host_header == "10.0.0.2:8000"


def wire(**settings: Any) -> Sender:
    return Sender(ClusterConfig(["h"], **settings), Pools())


def test_the_body_is_compressed_as_the_request_says() -> None:
    body = b"abc" * 1000
    plain = wire()
    packed = wire(request_compression=Gzip())
    assert plain.encoded(body, NO_OPTIONS) == (body, None)
    sent, coding = packed.encoded(body, NO_OPTIONS)
    assert coding == "gzip"
    assert decompress(sent, coding, len(body)) == body
    assert packed.encoded(body, RequestOptions(request_compression=None)) == (body, None)
    assert plain.encoded(body, RequestOptions(request_compression=Deflate()))[1] == "deflate"
    assert compress(Gzip(), body)[0] == sent


def test_a_body_that_is_too_long_is_not_made_short() -> None:
    body = b"a" * (MAX_BODY + 1)
    assert wire(request_compression=Gzip()).encoded(body, NO_OPTIONS) == (body, None)
    assert wire(request_compression=Gzip()).encoded(body[:-1], NO_OPTIONS)[1] == "gzip"
    with pytest.raises(RequestRefusedError, match=r"16777217 bytes.*16 MiB.*fewer or smaller items"):
        build_head("t", "h", len(body))
    assert build_head("t", "h", MAX_BODY)


def test_the_headers_of_a_request() -> None:
    config = {"extra_headers": {"X-A": "1", "X-B": "2"}, "user_agent": "shop/1", "response_compression": True}
    assert wire(user_agent=None).extra_headers(NO_OPTIONS) == []
    assert wire().extra_headers(NO_OPTIONS)[0][1].startswith("pynamodb-alternator/")
    assert wire(extra_headers={"user-agent": "x"}).extra_headers(NO_OPTIONS) == [("user-agent", "x")]
    assert wire(**config).extra_headers(NO_OPTIONS) == [
        ("X-A", "1"),
        ("X-B", "2"),
        ("User-Agent", "shop/1"),
        ("Accept-Encoding", "gzip, deflate"),
    ]
    own = RequestOptions(extra_headers={"x-a": "3", "USER-AGENT": "mine"}, response_compression=())
    assert wire(**config).extra_headers(own) == [("X-B", "2"), ("x-a", "3"), ("USER-AGENT", "mine")]
    own = RequestOptions(response_compression=("deflate",))
    assert wire(user_agent=None).extra_headers(own) == [("Accept-Encoding", "deflate")]


NODE = Node("http", "127.0.0.1", 1)


def signers_kept() -> int:
    gc.collect()
    return sum(type(each) is Signers for each in gc.get_objects())


def test_credentials_that_change_with_each_connection_are_not_kept_for_ever() -> None:
    sender = Sender(ClusterConfig(["127.0.0.1"]), Pools())
    before = signers_kept()
    for number in range(3_500):
        options = RequestOptions(credentials=Credentials(f"role{number}", "secret"))
        signed = dict(sender.signature(sender.signers(options).current(), NODE, "DynamoDB_20120810.ListTables", b"{}"))
        assert f"Credential=role{number}/" in signed["Authorization"]
    assert 0 < signers_kept() - before <= 1_000
    del sender
    assert signers_kept() <= before


def test_the_signature_of_a_model_is_that_of_its_region_and_credentials() -> None:
    config = ClusterConfig(["127.0.0.1"], credentials=Credentials("cluster", "secret"), region="eu-north-1")
    sender = Sender(config, Pools(), wall_clock=lambda: 0.0)

    def scope(options: RequestOptions) -> str:
        signed = dict(sender.signature(sender.signers(options).current(), NODE, "DynamoDB_20120810.ListTables", b"{}"))
        return signed["Authorization"].split("Credential=")[1].split("/dynamodb")[0]

    assert scope(RequestOptions()) == "cluster/19700101/eu-north-1"
    assert scope(RequestOptions(region="us-west-2")) == "cluster/19700101/us-west-2"
    assert scope(RequestOptions(credentials=Credentials("model", "other"))) == "model/19700101/eu-north-1"
    unsigned = Sender(ClusterConfig(["127.0.0.1"]), Pools())
    assert (
        unsigned.signature(unsigned.signers(RequestOptions()).current(), NODE, "DynamoDB_20120810.ListTables", b"{}")
        == []
    )
