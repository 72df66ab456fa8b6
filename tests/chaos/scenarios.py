"""The scenarios: each makes one fault, with all its life."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from .chaos import Chaos

NAMED_SEED = "seed.chaos.invalid"
names_known: dict[str, str] = {}
"""The addresses of names that can be resolved."""


def kill(chaos: Chaos) -> None:
    node = chaos.victim()
    with chaos.fault(takes_down=True):
        node.kill(still_listed=chaos.random.random() < 0.7)
        chaos.pause(0.8)
        node.revive()


def hang(chaos: Chaos) -> None:
    node = chaos.victim()
    with chaos.fault(takes_down=True):
        node.hang()
        chaos.until_down()
        chaos.pause(0.5)
        node.resume()


def freeze(chaos: Chaos) -> None:
    node = chaos.victim()
    with chaos.fault(takes_down=True):
        node.freeze()
        try:
            chaos.until_down()
            chaos.pause(0.5)
        finally:
            node.thaw()


def spoilt(make: Callable[[Any, random.Random], Any]) -> Callable[[Chaos], None]:
    def scenario(chaos: Chaos) -> None:
        node = chaos.victim()
        with chaos.fault():
            fault = make(node, chaos.random)
            chaos.pause(0.2)
            fault.cancel()

    return scenario


reset = spoilt(lambda node, rng: node.reset_mid_answer(times=rng.randint(1, 4)))
truncated = spoilt(lambda node, rng: node.truncate_answer(times=rng.randint(1, 4)))
garbage = spoilt(lambda node, rng: node.garbage_answer(times=rng.randint(1, 4)))
cut_chunked = spoilt(lambda node, rng: node.cut_chunked(times=rng.randint(1, 4)))
wrong_length = spoilt(lambda node, rng: node.wrong_content_length(rng.choice([-20, -3, 10]), times=1))
dropped = spoilt(lambda node, rng: rng.choice([node.drop_after_execute, node.drop_request])(times=rng.randint(1, 4)))
storm = spoilt(lambda node, rng: node.fail_with("InternalServerError", executed=rng.random() < 0.5))
shed = spoilt(lambda node, rng: node.fail_with("RequestLimitExceeded"))


def slow(chaos: Chaos) -> None:
    node = chaos.victim()
    with chaos.fault():
        fault = node.delay(0.3, after=chaos.random.random() < 0.5)
        chaos.pause(1.0)
        fault.cancel()


def lies(chaos: Chaos) -> None:
    """Nonsense, nothing, a part, nodes that do not exist; and nodes that leave and join again."""
    nodes = chaos.local.nodes
    everybody = [node.host for node in nodes]
    with chaos.fault():
        for node in nodes:
            node.lie(
                chaos.random.choice(
                    [
                        b"<html>",
                        b"[",
                        [],
                        [chaos.random.choice(everybody)],
                        [*everybody, "127.0.0.250", "0.0.0.0", None, "no such name"],
                        ["127.0.0.251"],
                    ]
                )
            )
        chaos.pause(1.5)
        for node in nodes:
            node.lie(None)
    leaving = chaos.victim()
    with chaos.fault():
        leaving.leave()
        chaos.pause(1.2)
        leaving.join()


def all_down(chaos: Chaos) -> None:
    with chaos.fault(takes_down=True, none_lives=True):
        for node in chaos.local.nodes:
            node.kill(still_listed=True)
        chaos.pause(1.0)
        for node in chaos.local.nodes:
            node.revive()


def no_dns(chaos: Chaos) -> None:
    """The seeds' names cannot be resolved any more, and the node that they meant dies."""
    names_known.clear()
    seed = chaos.local.nodes[0]
    with chaos.fault(takes_down=True):
        seed.kill()
        chaos.pause(1.2)
        seed.revive()
        names_known[NAMED_SEED] = seed.host


def mixed(chaos: Chaos) -> None:
    """Two nodes in different trouble at once; the third is well, and another one each time."""
    first, second = chaos.random.sample(chaos.local.nodes, 2)
    rng = chaos.random
    with chaos.fault(), ExitStack() as healing:
        for node in (first, second):
            kind = rng.randrange(6)
            if kind == 0:
                node.kill(still_listed=rng.random() < 0.5)
                healing.callback(node.revive)
            elif kind == 1:
                node.hang()
                healing.callback(node.resume)
            elif kind == 2:
                healing.callback(node.delay(rng.uniform(0.05, 0.4)).cancel)
            elif kind == 3:
                node.leave()
                healing.callback(node.join)
            elif kind == 4:
                healing.callback(node.fail_with("RequestLimitExceeded", times=20).cancel)
            else:
                node.close_idle_connections()
            spoil = rng.choice(
                [
                    node.reset_mid_answer,
                    node.truncate_answer,
                    node.garbage_answer,
                    node.cut_chunked,
                    node.drop_after_execute,
                    node.drop_request,
                ]
            )
            healing.callback(spoil(times=rng.randint(1, 3)).cancel)
        chaos.pause(1.5)


SCENARIOS: dict[str, Callable[[Chaos], None]] = {
    "kill": kill,
    "hang": hang,
    "freeze (SIGSTOP)": freeze,
    "reset mid-answer": reset,
    "slow answers": slow,
    "truncated answers": truncated,
    "garbage answers": garbage,
    "chunked and cut short": cut_chunked,
    "wrong Content-Length": wrong_length,
    "dropped requests": dropped,
    "storm of 500s": storm,
    "shed answers": shed,
    "topology lies and flaps": lies,
    "all nodes down": all_down,
    "DNS failure": no_dns,
    "mixed": mixed,
}
