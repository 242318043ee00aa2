"""`obfsfte completion`: what lets bash complete the command, made from the option tables.

The Debian package installs it; elsewhere a line of ~/.bashrc does: source <(obfsfte completion)
"""

from __future__ import annotations

from collections import defaultdict

from obfsfte.cli import COMMANDS
from obfsfte.commands import options as shared
from obfsfte.commands.tables import Command, commands
from obfsfte.covers.catalogue import Catalogue

_FILES = "_obfsfte_paths -f"
_DIRECTORIES = "_obfsfte_paths -d"

_SCRIPT = """\
# What lets bash complete obfsfte; printed by `obfsfte completion`.

_obfsfte_paths() {{
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$1" -- "$word")
}}

_obfsfte_words() {{
    mapfile -t COMPREPLY < <(compgen -W "$*" -- "$word")
}}

_obfsfte() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} command=
    # --option=value is three words to bash.
    if [[ $word == = ]]; then
        word=
    elif [[ $before == = ]]; then
        before=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    ((COMP_CWORD > 1)) && command=${{COMP_WORDS[1]}}
    case $command in
        {groups}) ((COMP_CWORD > 2)) && command+=" ${{COMP_WORDS[2]}}" ;;
    esac
    COMPREPLY=()
    case "$command $before" in
{values}
        *) case "$command" in
{words}
        esac ;;
    esac
}}

complete -F _obfsfte obfsfte
"""


class Options(shared.Options):
    synopsis = "Usage: obfsfte completion"
    longdesc = "Prints the script that lets bash complete obfsfte: source <(obfsfte completion)"


def proposals() -> dict[str, str]:
    """What to propose for the value of an option, by its long name; for all others, nothing."""
    covers = _words(Catalogue().names)
    return {
        "--state": _DIRECTORIES,
        "--cover": covers,
        "--cover-file": _FILES,
        "--key-file": _FILES,
        "--ca-file": _FILES,
        "--pin": _FILES,
        "--torrc": _FILES,
        "--mode": _words(("client", "server")),
    }


def _arguments() -> dict[str, str]:
    """What to propose where a word of these commands is no option."""
    return {"covers show": _words(Catalogue().names), "covers check": _FILES}


def _words(words: tuple[str, ...] | list[str]) -> str:
    return f"_obfsfte_words {' '.join(words)}"


def script() -> str:
    """The script."""
    known = list(commands())
    return _SCRIPT.format(
        groups=" | ".join(command.words for command in known if command.subcommands),
        values="\n".join(_values(known)),
        words="\n".join(_after(known)),
    )


def _values(known: list[Command]) -> list[str]:
    """One branch for all options with the same proposals."""
    branches: dict[str, list[str]] = defaultdict(list)
    what = proposals()
    for command in known:
        for option, long in command.with_value.items():
            branches[what.get(long, ":")].append(f'"{command.words} {option}"')
    return [f"        {' | '.join(cases)}) {action} ;;" for action, cases in branches.items()]


def _after(known: list[Command]) -> list[str]:
    """One branch per command: its options, and what else may follow it."""
    lines = [f'            "") {_words([*COMMANDS, "--help", "--version"])} ;;']
    arguments = _arguments()
    for command in known:
        options = _words([*command.subcommands, *command.options])
        if command.words in arguments:
            options = f"if [[ $word == -* ]]; then {options}; else {arguments[command.words]}; fi"
        lines.append(f'            "{command.words}") {options} ;;')
    return lines


def run(options: Options) -> int:
    print(script(), end="")
    return 0
