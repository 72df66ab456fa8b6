"""How nodes are reached by https: checked when it is set, from every form that a setting may have."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pynamodb_alternator import ClusterConfig, Gzip, Tls
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local.tls import KeyPair, LocalTls, TlsFiles
from pynamodb_alternator.settings.tls import InsecureTlsWarning


@pytest.fixture(scope="module")
def files() -> Iterator[TlsFiles]:
    files = TlsFiles(LocalTls(), ["127.0.0.1"])
    yield files
    files.close()


@pytest.fixture(scope="module")
def pair(files: TlsFiles) -> KeyPair:
    return files.client()


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
    expected = Tls(ca=files.ca_file, client_cert=(pair.certificate, pair.key), verify_hostname=False)
    query = f"ca={files.ca_file}&client_cert={pair.certificate}&client_key={pair.key}&verify_hostname=no"
    assert ClusterConfig.from_url(f"https://10.0.0.1/?{query}").tls == expected
    mapping = {
        "ca": files.ca_file,
        "client_cert": pair.certificate,
        "client_key": pair.key,
        "verify_hostname": False,
    }
    assert ClusterConfig.from_dict({"seeds": ["10.0.0.1"], "scheme": "https", "tls": mapping}).tls == expected
    env = {
        "ALTERNATOR_URL": "https://10.0.0.1/?verify_hostname=no",
        "ALTERNATOR_CA": files.ca_file,
        "ALTERNATOR_CLIENT_CERT": pair.certificate,
        "ALTERNATOR_CLIENT_KEY": pair.key,
    }
    assert ClusterConfig.from_env(env).tls == expected
    # What the application says wins, as a whole.
    assert ClusterConfig.from_env(env, tls=Tls(ca=files.ca_file)).tls == Tls(ca=files.ca_file)
    assert ClusterConfig.from_env({"ALTERNATOR_URL": "https://10.0.0.1"}).tls is None


def test_switches_from_every_form(files: TlsFiles) -> None:
    expected = Tls(ca=files.ca_file, system_ca=True, session_resumption=False)
    query = f"ca={files.ca_file}&system_ca=yes&session_resumption=no"
    assert ClusterConfig.from_url(f"https://10.0.0.1/?{query}").tls == expected
    mapping = {"ca": files.ca_file, "system_ca": True, "session_resumption": False}
    assert ClusterConfig.from_dict({"seeds": ["10.0.0.1"], "scheme": "https", "tls": mapping}).tls == expected
    env = {"ALTERNATOR_URL": "https://10.0.0.1/?system_ca=yes&session_resumption=no", "ALTERNATOR_CA": files.ca_file}
    assert ClusterConfig.from_env(env).tls == expected


def test_a_client_certificate_as_pem_from_every_form(pair: KeyPair) -> None:
    cert, key = Path(pair.certificate).read_text(), Path(pair.key).read_text()
    expected = Tls(client_cert=(cert.encode(), key.encode()))
    for form in ((cert, key), (cert.encode(), key.encode())):
        mapping = {"client_cert": form[0], "client_key": form[1]}
        config = ClusterConfig.from_dict({"seeds": ["10.0.0.1"], "scheme": "https", "tls": mapping})
        assert config.tls == expected
        assert "PRIVATE KEY" not in repr(config) + repr(dataclasses.asdict(config))
    env = {"ALTERNATOR_URL": "https://10.0.0.1", "ALTERNATOR_CLIENT_CERT": cert, "ALTERNATOR_CLIENT_KEY": key}
    assert ClusterConfig.from_env(env).tls == expected
    mapping = {"client_cert": lambda: cert, "client_key": key}  # type: ignore[dict-item]
    with pytest.raises(ConfigurationError, match="client_key is given beside a function"):
        ClusterConfig.from_dict({"seeds": ["10.0.0.1"], "scheme": "https", "tls": mapping})


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
