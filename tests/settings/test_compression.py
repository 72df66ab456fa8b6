"""Which bodies are compressed, from every form that the setting may have."""

from __future__ import annotations

from typing import Any

import pytest

from pynamodb_alternator import ClusterConfig, Deflate, Gzip
from pynamodb_alternator.errors import ConfigurationError


@pytest.mark.parametrize(
    ("written", "meant"),
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
def test_the_setting_of_request_compression_has_forms(written: Any, meant: Any) -> None:
    assert ClusterConfig(["h"], request_compression=written).request_compression == meant
    if isinstance(written, str):
        assert ClusterConfig.from_url(f"http://h/?request_compression={written.strip()}").request_compression == meant


@pytest.mark.parametrize(
    ("written", "meant"),
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
def test_the_setting_of_response_compression_has_forms(written: Any, meant: Any) -> None:
    assert ClusterConfig(["h"], response_compression=written).response_compression == meant


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
    for word in ("off", "false", "no", "none", "None", "0"):
        assert of(f"user_agent={word}").user_agent is None
        assert ClusterConfig(["h"], user_agent=word).user_agent is None
    assert of("user_agent=shop/1.0").user_agent == "shop/1.0"


def test_the_user_agent_is_given_once() -> None:
    with pytest.raises(ConfigurationError, match="give the User-Agent once"):
        ClusterConfig(["h"], user_agent="y", extra_headers={"user-agent": "x"})
    assert ClusterConfig(["h"], extra_headers={"user-agent": "x"}).user_agent_sent is None
    with pytest.raises(ConfigurationError, match="user_agent must be a text"):
        ClusterConfig(["h"], user_agent="")
    for odd in ("J\N{LATIN SMALL LETTER U WITH DIAERESIS}rgen", "shop/\N{SNOWMAN}"):
        with pytest.raises(ConfigurationError, match="user_agent must be in ASCII"):
            ClusterConfig(["h"], user_agent=odd)
    with pytest.raises(ConfigurationError, match="has a control character"):
        ClusterConfig(["h"], user_agent="shop\r\nX: y")
    with pytest.raises(ConfigurationError, match="user_agent must be a text"):
        ClusterConfig(["h"], user_agent=5)  # type: ignore[arg-type]


def test_a_callable_that_makes_no_user_agent_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"user_agent: the callable raised TypeError.*one argument") as raised:
        ClusterConfig(["h"], user_agent=lambda: "shop/2")  # type: ignore[arg-type,misc]
    assert isinstance(raised.value.__cause__, TypeError)


def test_a_user_agent_may_be_made_of_ours() -> None:
    config = ClusterConfig(["h"], user_agent=lambda ours: f"shop/2 {ours}")
    assert config.user_agent == config.user_agent_sent == f"shop/2 {ClusterConfig(['h']).user_agent_sent}"
    assert config == ClusterConfig(["h"], user_agent=config.user_agent)
    assert config.replace(port=5).user_agent == config.user_agent
    for wrong in (lambda ours: None, lambda ours: "", lambda ours: f"{ours}\n"):
        with pytest.raises(ConfigurationError, match="user_agent"):
            ClusterConfig(["h"], user_agent=wrong)  # type: ignore[arg-type]
