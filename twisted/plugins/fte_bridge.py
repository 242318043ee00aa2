"""What `twistd --help` lists; the service itself is made in obfsfte.commands.bridge."""

from twisted.application.service import ServiceMaker

fte_bridge = ServiceMaker(
    "obfsfte bridge",
    "obfsfte.commands.bridge",
    "Carry TCP streams disguised by Format-Transforming Encryption.",
    "fte-bridge",
)
