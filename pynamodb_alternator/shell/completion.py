"""``pynamodb-alternator completion SHELL``: a script with which a shell completes the commands and their options.

The script is made from argparse's description of each command, so it has all options of this version.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import Any

from .screen import Screen

__all__ = ["SHELLS", "add", "script"]

_PROGRAM = "pynamodb-alternator"
SHELLS = ("bash", "zsh", "fish")
_HOW = """\
Put one of these into the file that your shell reads at its start:
  bash:  eval "$(pynamodb-alternator completion bash)"
  zsh:   eval "$(pynamodb-alternator completion zsh)"
  fish:  pynamodb-alternator completion fish | source"""
_OPTION = re.compile(r"(--[a-z][a-z-]*)(?: (?:\{([^}]*)\}|([A-Z])))?")
"""An option in a usage line, and the values that it may have, or the first letter of what any value is called."""

Commands = Mapping[str, Mapping[str, tuple[str, ...] | None]]
"""The options of each command, with the values of options that have a choice; none for any value, such as the name of a
file. None for an option that takes no value, or need not."""

_BASH = """\
_pynamodb_alternator() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}} words=
    if [ "$COMP_CWORD" -eq 1 ]; then
        command=
    fi
    case "$command $before" in
{values}
    *)
        case "$command" in
        '') words="{commands} --help --version" ;;
{options}
        esac ;;
    esac
    COMPREPLY=( $(compgen -W "$words" -- "$word") )
}}
complete -o default -F _pynamodb_alternator {program}
"""
_ZSH = "autoload -U +X compinit && compinit -u\nautoload -U +X bashcompinit && bashcompinit\n"


def add(commands: Any) -> None:
    command = commands.add_parser(
        "completion",
        help="what makes bash, zsh or fish complete these commands",
        description="Writes a script for a shell, which then completes commands and options.",
        epilog=_HOW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("shell", choices=SHELLS, help="the shell")
    command.set_defaults(run=lambda options: _run(options, commands.choices))


def _run(options: argparse.Namespace, parsers: Mapping[str, argparse.ArgumentParser]) -> int:
    Screen().write(script(options.shell, {name: _options_of(parser) for name, parser in parsers.items()}))
    return 0


def _options_of(parser: argparse.ArgumentParser) -> dict[str, tuple[str, ...] | None]:
    usage = " ".join(parser.format_usage().split())
    options = {
        name: tuple(choices.split(",")) if choices else () if any_value else None
        for name, choices, any_value in _OPTION.findall(usage)
    }
    return {**options, "--help": None}


def script(shell: str, commands: Commands) -> str:
    """The script for one of `SHELLS`."""
    if shell == "fish":
        return _fish(commands)
    bash = _BASH.format(
        program=_PROGRAM,
        commands=" ".join(commands),
        options="\n".join(f"""        {name}) words="{" ".join(options)}" ;;""" for name, options in commands.items()),
        values="\n".join(
            f"""    '{name} {option}') words="{" ".join(values)}" ;;"""
            for name, options in {**commands, "completion": {"completion": SHELLS}}.items()
            for option, values in options.items()
            if values is not None
        ),
    )
    return _ZSH + bash if shell == "zsh" else bash


def _fish(commands: Commands) -> str:
    lines = [f"complete -c {_PROGRAM} -n __fish_use_subcommand -f -a '{' '.join(commands)}'"]
    lines.append(f"complete -c {_PROGRAM} -n '__fish_seen_subcommand_from completion' -f -a '{' '.join(SHELLS)}'")
    lines += [f"complete -c {_PROGRAM} -n __fish_use_subcommand -l {option}" for option in ("help", "version")]
    for name, options in commands.items():
        for option, values in options.items():
            choice = f" -x -a '{' '.join(values)}'" if values else "" if values is None else " -r"
            lines.append(f"complete -c {_PROGRAM} -n '__fish_seen_subcommand_from {name}' -l {option[2:]}{choice}")
    return "\n".join(lines) + "\n"
