"""The Tor pluggable transport protocol (pt-spec, version 1), from the transport's side.

A transport that tor starts ("managed") is told what to do in environment variables and
answers in lines on standard output. This package reads the one and writes the other, and
nothing else: it opens no socket, touches no signal and starts no process.

    client, server                  what a program uses: init, report..., getBindAddresses
    config, *_config                the environment, parsed and checked
    core                            the parent of both sides; the one writer of lines
    encoding                        escapes: backslash lists, C strings, one-line text
    util                            addresses, and the arguments that travel in SOCKS logins

The public names and what they do are those of pyptlib 0.0.6, which was written for
Python 2: a program written to its documentation runs with only the import changed. New
here is what pt-spec gained since: LOG and STATUS lines, TOR_PT_EXIT_ON_STDIN_CLOSE, the
outbound bind addresses, escapes in options and arguments, IPv6 addresses, and transports
without a bind address of their own. Left out is `util.subproc`, a manager of child
processes and signals that pyptlib's documentation never listed.

Only the standard library is imported, and little of it, because tor waits while we start.
"""
