"""The commands of `obfsfte`, one module each: its `Options`, and `run(options) -> int`.

`cli` imports only the one that was asked for. The options of what can also run under
twistd are the very classes that its plugin uses.
"""
