"""The `obfsfte` command: finds the module of a subcommand, and speaks for its errors.

Whatever a person got wrong is one line on standard error and a non-zero exit: 2 when
the command line was wrong, 1 when doing what it says was not possible.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence

from obfsfte._version import __version__

#: name -> (module in obfsfte.commands, what it does)
COMMANDS = {
    "server": ("server", "run the server half in front of a TCP service"),
    "client": ("client", "run the client half for applications on this machine"),
    "pt": ("pt", "run by tor, client or server by its environment"),
    "fteproxy": ("fteproxy", "run either half with fteproxy's own options, on its wire"),
    "bridge-line": ("bridge_line", "print the line that clients of a bridge need"),
    "keygen": ("keygen", "make a bridge's keys"),
    "covers": ("covers", "show what the traffic can look like"),
    "encode": ("encode", "turn standard input into covertext on standard output"),
    "decode": ("decode", "turn covertext back"),
    "demo": ("demo", "move data through both halves on this machine and show it"),
    "doctor": ("doctor", "find what keeps a bridge on this machine from working"),
    "completion": ("completion", "print what lets bash complete this command"),
    "bench": ("bench", "say how many users this machine can serve"),
}


def usage_text() -> str:
    """The text of `obfsfte --help`."""
    lines = [
        "Usage: obfsfte COMMAND [OPTIONS]",
        "",
        "TCP streams disguised by Format-Transforming Encryption.",
        "",
        "Commands (obfsfte COMMAND --help says more):",
    ]
    lines += [f"  {name:<12} {text}" for name, (_module, text) in COMMANDS.items()]
    lines += [
        "",
        "Options:",
        "  --version    print the version",
        "  --help       print this text",
    ]
    return "\n".join(lines)


def version_text() -> str:
    """What `obfsfte --version` prints; which form of rank and unrank runs matters for speed."""
    from obfsfte.regular import forms

    return f"obfsfte {__version__} (ranking: {forms.NAME})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, by default that of this process; returns the exit status."""
    if arguments is None:
        arguments = sys.argv[1:]
        # To end as other programs do, at once and without a word: what Python does instead may
        # be lost in a module that is being loaded. Where it was ignored, it stays so.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        # As standard error does: file names and descriptions may be what a locale cannot write.
        # That would flush what a library has printed, so not to tor.
        if arguments[:1] != ["pt"] and isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
    if sys.stderr is None:  # closed by our parent; print would take standard output in its place
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as we run
    try:
        try:
            return _dispatch(list(arguments))
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        # What could not be written would be tried again at exit, and complained of there.
        sys.stdout = None
        if isinstance(error, BrokenPipeError):  # the reader of our output left
            return 1
        reason = str(error.strerror or error)
        return _complain(f"{error.filename}: {reason}" if error.filename else reason, 1)


def _dispatch(arguments: list[str]) -> int:
    name = arguments[0] if arguments else "--help"
    if name in ("--help", "-h", "help"):
        print(usage_text())
        return 0 if arguments else 2
    if name == "--version":
        print(version_text())
        return 0
    if name not in COMMANDS:
        from obfsfte.errors import quoted

        return _complain(f"there is no command {quoted(name)}; obfsfte --help lists them", 2)
    return _run(name, arguments[1:])


def _run(name: str, arguments: Sequence[str]) -> int:
    from twisted.python import usage

    from obfsfte.errors import ConfigError

    module = importlib.import_module(f"obfsfte.commands.{COMMANDS[name][0]}")
    try:
        options = module.Options()
        options.parseOptions(list(arguments))
    except usage.UsageError as error:
        return _complain(f"{name}: {error}; obfsfte {name} --help explains", 2)
    try:
        status: int = module.run(options)
        return status
    except ConfigError as error:
        return _complain(f"{name}: {error}", 1)


def _complain(text: str, status: int) -> int:
    print(f"obfsfte: {' '.join(text.split())}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
