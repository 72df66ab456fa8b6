"""What the user sets about the bytes on the wire: checked when it is set, from every form that a setting may have."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pynamodb_alternator import Cluster, ClusterConfig, Credentials, Deflate, Gzip, Timeouts, Tls
from pynamodb_alternator.errors import ConfigurationError, RequestRefusedError
from pynamodb_alternator.local.tls import KeyPair, LocalTls, TlsFiles
from pynamodb_alternator.settings.options import NO_OPTIONS, RequestOptions, block_settings
from pynamodb_alternator.settings.scopes import ClusterScope, DatacenterScope, RackScope
from pynamodb_alternator.settings.wire import InsecureTlsWarning
from pynamodb_alternator.topology.localnodes import NodeFilter
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.compression import compress, decompress
from pynamodb_alternator.transport.lanes import Sender
from pynamodb_alternator.transport.pool import Pools
from pynamodb_alternator.transport.request import MAX_BODY, build_get, build_head
from pynamodb_alternator.transport.signing import Signer

SECRET = "wJalrXUtnFEMI-THE-SECRET"
INJECTIONS = ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\0b", "\r\n", "a\r\n\r\nPOST / HTTP/1.1"]


@pytest.fixture(scope="module")
def files() -> Iterator[TlsFiles]:
    files = TlsFiles(LocalTls(), ["127.0.0.1"])
    yield files
    files.close()


@pytest.fixture(scope="module")
def pair(files: TlsFiles) -> KeyPair:
    return files.client()


# ---- TLS -----------------------------------------------------------------------------------------------------------


def test_tls_needs_https(files: TlsFiles) -> None:
    for scheme in ({}, {"scheme": "http"}):
        with pytest.raises(ConfigurationError, match=r"tls is given, but the scheme is 'http'.*scheme='https'"):
            ClusterConfig(["10.0.0.1"], tls=Tls(ca=files.ca_file), **scheme)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="tls is given"):
        ClusterConfig.from_url(f"http://10.0.0.1/?ca={files.ca_file}")
    config = ClusterConfig(["10.0.0.1"], scheme="https", tls=Tls(ca=files.ca_file))
    with pytest.raises(ConfigurationError, match="tls is given"):
        config.replace(scheme="http")
    assert ClusterConfig(["10.0.0.1"], scheme="https").tls is None


@pytest.mark.parametrize("wrong", [True, "/ca.pem", 5, ["x"]])
def test_tls_is_a_tls(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"tls must be Tls\(\.\.\.\), such as Tls\(ca="):
        ClusterConfig(["10.0.0.1"], scheme="https", tls=wrong)


def test_tls_from_every_form(files: TlsFiles, pair: KeyPair) -> None:
    wanted = Tls(ca=files.ca_file, client_cert=(pair.certificate, pair.key), verify_hostname=False)
    query = f"ca={files.ca_file}&client_cert={pair.certificate}&client_key={pair.key}&verify_hostname=no"
    assert ClusterConfig.from_url(f"https://10.0.0.1/?{query}").tls == wanted
    mapping = {
        "ca": files.ca_file,
        "client_cert": pair.certificate,
        "client_key": pair.key,
        "verify_hostname": False,
    }
    assert ClusterConfig.from_dict({"seeds": ["10.0.0.1"], "scheme": "https", "tls": mapping}).tls == wanted
    env = {
        "ALTERNATOR_URL": "https://10.0.0.1/?verify_hostname=no",
        "ALTERNATOR_CA": files.ca_file,
        "ALTERNATOR_CLIENT_CERT": pair.certificate,
        "ALTERNATOR_CLIENT_KEY": pair.key,
    }
    assert ClusterConfig.from_env(env).tls == wanted
    # What the application says wins, as a whole.
    assert ClusterConfig.from_env(env, tls=Tls(ca=files.ca_file)).tls == Tls(ca=files.ca_file)
    assert ClusterConfig.from_env({"ALTERNATOR_URL": "https://10.0.0.1"}).tls is None


def test_wrong_tls_settings_name_the_remedy(files: TlsFiles, pair: KeyPair, tmp_path: Path) -> None:
    for query, message in (
        (f"ca={tmp_path}/none.pem", "cannot be read"),
        (f"client_key={pair.key}", "client_key is given without its client_cert"),
        (f"client_cert={files.ca_file}", "has no private key"),
        ("verify_hostname=perhaps", "write true or false"),
        ("verify=no", "does not take 'verify'"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            ClusterConfig.from_url(f"https://10.0.0.1/?{query}")
    with pytest.raises(ConfigurationError, match=r"tls does not take 'cafile'"):
        ClusterConfig.from_dict({"seeds": "10.0.0.1", "scheme": "https", "tls": {"cafile": "x"}})


def test_insecure_warns_and_once_only() -> None:
    with pytest.warns(InsecureTlsWarning, match="not checked") as seen:
        config = ClusterConfig.from_url("https://10.0.0.1/?insecure=true")
    assert len(seen) == 1
    assert config.tls is not None
    assert config.tls.insecure
    # Copies are not settings made anew.
    assert pickle.loads(pickle.dumps(config.replace(name="x"))).tls == config.tls


def test_the_configuration_is_a_value_still(files: TlsFiles) -> None:
    def make() -> ClusterConfig:
        return ClusterConfig(
            ["10.0.0.1"], scheme="https", tls=Tls(ca=files.ca_file), request_compression=Gzip(), user_agent="x"
        )

    assert make() == make()
    assert hash(make()) == hash(make())
    assert pickle.loads(pickle.dumps(make())) == make()
    assert "request_compression=Gzip(level=6, min_size=1024)" in repr(make())


# ---- compression and headers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (None, None),
        ("none", None),
        ("off", None),
        ("gzip", Gzip()),
        (" GZIP ", Gzip()),
        ("deflate", Deflate()),
        (Gzip(1, 0), Gzip(1, 0)),
    ],
)
def test_request_compression(given: Any, meant: Any) -> None:
    assert ClusterConfig(["h"], request_compression=given).request_compression == meant
    if isinstance(given, str):
        assert ClusterConfig.from_url(f"http://h/?request_compression={given.strip()}").request_compression == meant


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (True, ("gzip", "deflate")),
        (False, ()),
        (None, ()),
        ("deflate", ("deflate",)),
        ("deflate,gzip", ("deflate", "gzip")),
        (["gzip"], ("gzip",)),
        (("gzip", "gzip"), ("gzip",)),
    ],
)
def test_response_compression(given: Any, meant: Any) -> None:
    assert ClusterConfig(["h"], response_compression=given).response_compression == meant


@pytest.mark.parametrize("wrong", [True, "br", 5, Gzip, ("gzip",), b"gzip"])
def test_wrong_request_compression_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"request_compression must be Gzip\(\), Deflate\(\) or None"):
        ClusterConfig(["h"], request_compression=wrong)


@pytest.mark.parametrize("wrong", ["br", 5, ("gzip", "br"), (5,), Gzip(), b"gzip"])
def test_wrong_response_compression_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="response_compression must be True, False, or some of"):
        ClusterConfig(["h"], response_compression=wrong)


def test_words_of_the_url() -> None:
    def of(query: str) -> ClusterConfig:
        return ClusterConfig.from_url(f"http://h/?{query}")

    assert of("response_compression=true").response_compression == ("gzip", "deflate")
    assert of("response_compression=no").response_compression == ()
    assert of("response_compression=deflate,gzip").response_compression == ("deflate", "gzip")
    assert of("user_agent=on").user_agent is True
    assert of("user_agent=off").user_agent is None
    assert of("user_agent=shop/1.0").user_agent == "shop/1.0"


def test_the_user_agent_is_given_once() -> None:
    with pytest.raises(ConfigurationError, match="give the User-Agent once"):
        ClusterConfig(["h"], user_agent=True, extra_headers={"user-agent": "x"})
    with pytest.raises(ConfigurationError, match="user_agent must be a text"):
        ClusterConfig(["h"], user_agent="")
    with pytest.raises(ConfigurationError, match="user_agent must be a text"):
        ClusterConfig(["h"], user_agent=5)  # type: ignore[arg-type]


# ---- header injection ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evil", INJECTIONS)
def test_no_setting_can_end_a_header(evil: str) -> None:
    attempts: list[Any] = [
        lambda: ClusterConfig(["h"], extra_headers={"X-A": evil}),
        lambda: ClusterConfig(["h"], extra_headers={evil: "a"}),
        lambda: ClusterConfig(["h"], user_agent=evil),
        lambda: ClusterConfig(["h"], region=evil),
        lambda: ClusterConfig([evil]),
        lambda: ClusterConfig.from_dict({"seeds": ["h"], "datacenter": evil}),
        lambda: Credentials(evil, SECRET),
        lambda: Credentials("a", SECRET, evil),
        lambda: Signer(evil, SECRET),
        lambda: Signer("a", SECRET, evil),
        lambda: block_settings({"extra_headers": {"X-A": evil}}),
    ]
    for attempt in attempts:
        with pytest.raises(ConfigurationError) as caught:
            attempt()
        assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("evil", INJECTIONS)
def test_what_is_not_checked_before_is_refused_when_the_request_is_written(evil: str) -> None:
    for write in (
        lambda: build_head(evil, "h", 0),
        lambda: build_head("t", evil, 0),
        lambda: build_head("t", "h", 0, [(evil, "v")]),
        lambda: build_head("t", "h", 0, [("X-A", evil)]),
        lambda: build_get("/" + evil, "h"),
        lambda: build_get("/", evil),
        # A model's region is not checked by PynamoDB.
        lambda: build_head("t", "h", 0, Signer("a", SECRET, region=evil).headers("h", "t", b"", 0)),
    ):
        with pytest.raises(RequestRefusedError) as caught:
            write()
        assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_listed_address_cannot_end_the_host_header() -> None:
    source = Node("http", "10.0.0.1", 8000)
    for evil in INJECTIONS:
        for found in (
            NodeFilter().node(f"10.0.0.2{evil}", source, ClusterScope()),
            NodeFilter(translate=lambda _, evil=evil: evil).node("10.0.0.2", source, ClusterScope()),
        ):
            # Refused; or it was space around the address, which is not part of it.
            assert isinstance(found, str) or found.host_header == "10.0.0.2:8000"


# ---- one call's body -----------------------------------------------------------------------------------------------


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
    assert wire().extra_headers(NO_OPTIONS) == []
    assert wire(user_agent=True).extra_headers(NO_OPTIONS)[0][1].startswith("pynamodb_alternator/")
    assert wire(**config).extra_headers(NO_OPTIONS) == [
        ("X-A", "1"),
        ("X-B", "2"),
        ("User-Agent", "shop/1"),
        ("Accept-Encoding", "gzip, deflate"),
    ]
    own = RequestOptions(extra_headers={"x-a": "3", "USER-AGENT": "mine"}, response_compression=())
    assert wire(**config).extra_headers(own) == [("X-B", "2"), ("x-a", "3"), ("USER-AGENT", "mine")]
    own = RequestOptions(response_compression=("deflate",))
    assert wire().extra_headers(own) == [("Accept-Encoding", "deflate")]


# ---- options -------------------------------------------------------------------------------------------------------


def test_narrower_options_win_and_none_means_none_for_compression() -> None:
    wide = RequestOptions(
        read_timeout=5, request_compression=Gzip(), extra_headers={"X-A": "1", "X-B": "2"}, consistent_node=7
    )
    assert RequestOptions().over(wide) == wide
    assert RequestOptions(request_compression=None).over(wide).request_compression is None
    assert RequestOptions(consistent_node=False).over(wide).consistent_node is False
    merged = RequestOptions(extra_headers={"x-a": "3"}).over(wide)
    assert merged.extra_headers == {"X-B": "2", "x-a": "3"}
    # Timeouts that are given as a whole hold as a whole, "no limit" included.
    whole = RequestOptions(all_timeouts=Timeouts(1, 2, None)).over(RequestOptions(read_timeout=5, total_timeout=9))
    assert whole.timeouts(Timeouts(7, 7, 7)) == Timeouts(1, 2, None)
    part = RequestOptions(read_timeout=3).over(RequestOptions(all_timeouts=Timeouts(1, 2, 8)))
    assert part.timeouts(Timeouts(7, 7, 7)) == Timeouts(1, 3, 8)
    whole = RequestOptions(all_timeouts=Timeouts(pool=None)).over(RequestOptions(pool_timeout=5))
    assert whole.timeouts(Timeouts(7, 7, 7)).pool is None
    assert RequestOptions(pool_timeout=5).timeouts(Timeouts(7, 7, 7)) == Timeouts(7, 7, 7, 5)


def test_what_belongs_to_the_cluster_cannot_be_changed_for_a_block() -> None:
    with Cluster("http://10.0.0.1") as cluster:
        for name in ("seeds", "port", "scheme", "tls", "credentials", "region", "health", "endpoint"):
            with pytest.raises(ConfigurationError, match=rf"{name} cannot be changed.*Make another cluster.*{name}="):
                cluster.options(**{name: 1})
        with pytest.raises(ConfigurationError, match="Did you mean 'timeouts'"):
            cluster.options(timeout=1)
        for wrong, message in (
            ({"timeouts": 5}, r"timeouts must be Timeouts\("),
            ({"timeouts": {"reed": 5}}, "Did you mean 'read'"),
            ({"timeouts": {"read": -1}}, "read must be a number"),
            ({"request_compression": "br"}, "request_compression must be"),
            ({"response_compression": "br"}, "response_compression must be"),
            ({"key_route_affinity": "some"}, "KeyRouteAffinity"),
            ({"consistent_node": ""}, "consistent_node must be"),
            ({"consistent_node": 3}, "consistent_node must be"),
            ({"consistent_node": "\ud800"}, "consistent_node must be"),
            ({"routing_scope": "dc1"}, "routing_scope must be"),
            ({"extra_headers": {"Host": "x"}}, "written by the transport itself"),
        ):
            with pytest.raises(ConfigurationError, match=message):
                cluster.options(**wrong)  # type: ignore[arg-type]


def test_a_scope_whose_list_is_not_read_is_refused_at_once() -> None:
    chain = RackScope("dc1", "r1", fallback=ClusterScope())
    with Cluster(ClusterConfig(["10.0.0.1"], routing_scope=chain)) as cluster:
        for scope in (RackScope("dc1", "r2"), DatacenterScope("dc2"), ClusterScope(), DatacenterScope("dc1")):
            if scope in (ClusterScope(), DatacenterScope("dc1")):
                cluster.options(routing_scope=scope)
                continue
            with pytest.raises(ConfigurationError, match=rf"The nodes of {scope} are not known.*rack r1 of datacenter"):
                cluster.options(routing_scope=scope)
        with pytest.raises(ConfigurationError, match="rack r2"):
            cluster.options(routing_scope=DatacenterScope("dc1", fallback=RackScope("dc1", "r2")))
