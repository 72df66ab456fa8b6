"""The options that all commands share, and the cluster that they describe."""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..cluster import Cluster
from ..errors import ConfigurationError
from ..settings.config import ClusterConfig
from ..settings.tls import InsecureTlsWarning

__all__ = ["add", "add_token_aware", "number", "open_cluster", "whole"]

_DEFAULT_TIMEOUT = 2.0


def add(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group(
        "the cluster",
        "Credentials come from ALTERNATOR_ACCESS_KEY and "
        "ALTERNATOR_SECRET_KEY, because a command line can be read by others.",
    )
    group.add_argument("--url", help="where it is, such as http://10.0.0.1,10.0.0.2:8000 (default: ALTERNATOR_URL)")
    group.add_argument("--datacenter", metavar="NAME", help="keep to this datacenter")
    group.add_argument("--rack", metavar="NAME", help="keep to this rack of the datacenter")
    group.add_argument("--ca", metavar="FILE", help="the authority that signed the nodes' certificates")
    group.add_argument("--insecure", action="store_true", help="do not check the nodes' certificates")
    group.add_argument(
        "--timeout",
        type=number(0.001, 3600),
        default=_DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help="for each question (default 2)",
    )
    command.add_argument("--json", action="store_true", help="one JSON document, for machines")


def add_token_aware(command: argparse.ArgumentParser, help: str) -> None:
    """The option for commands that may read token rings."""
    command.add_argument("--token-aware", action="store_true", help=help)


def open_cluster(
    options: argparse.Namespace, environ: Mapping[str, str] | None = None, *, reads_rings: bool = False, **others: Any
) -> Cluster:
    """The cluster that the options describe. Raises `ConfigurationError`.

    It reads token rings only if the URL or ``--token-aware`` says True, because a command ends before they are useful.
    `reads_rings`: the configuration is not changed, for a command that shows what is wrong with it. `others`: more
    settings, which the command sets.
    """
    env = dict(os.environ if environ is None else environ)
    if options.url is not None:
        env["ALTERNATOR_URL"] = options.url
    elif not env.get("ALTERNATOR_URL"):
        raise ConfigurationError(
            "Nothing says which cluster is meant. Add --url http://10.0.0.1:8000, or set the environment variable "
            "ALTERNATOR_URL."
        )
    changes: dict[str, Any] = {"name": "cluster", **others}
    for name in ("datacenter", "rack"):
        value = getattr(options, name)
        if value is not None:
            changes[name] = value
    tls: dict[str, Any] = {}
    if options.ca is not None:
        tls["ca"] = options.ca
    if options.insecure:
        tls["insecure"] = True
    if tls and not env["ALTERNATOR_URL"].lower().startswith("https://"):
        option = "--ca" if options.ca is not None else "--insecure"
        raise ConfigurationError(f"{option} is for TLS, and the URL begins with http://. Write https:// in the URL.")
    if tls:
        changes["tls"] = tls
    seconds = options.timeout
    changes["timeouts"] = {"connect": seconds, "read": seconds, "total": 2 * seconds}
    with warnings.catch_warnings():
        # A user who writes --insecure needs no warning.
        warnings.simplefilter("ignore", InsecureTlsWarning)
        config = ClusterConfig.from_env(env, **changes)
    config = config.replace(discovery=replace(config.discovery, timeout=seconds, startup_wait=seconds))
    if not reads_rings:
        config = config.replace(token_aware=config.token_aware is True or getattr(options, "token_aware", False))
    if config.process_number is None:
        config = config.replace(subset=None)  # a random subset would not be the one of another process
    return Cluster(config)


def number(least: float, most: float) -> Any:
    """The type of an argument: a number within these bounds."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"write a number from {least:g} to {most:g} (got {text!r})")
        return value

    return read


def whole(least: int, most: int) -> Any:
    """The type of an argument: a whole number within these bounds."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"write a whole number from {least} to {most} (got {text!r})")
        return int(text)

    return read
