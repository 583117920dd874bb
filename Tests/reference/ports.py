"""Free ports for servers that need a port number in advance."""

import pathlib
import random
import socket

RANGE = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port():
    """A free port outside the range that the kernel uses for connections and for port 0.

    So no other program takes the port before its server does, or while its server restarts.
    """
    first, last = (int(number) for number in RANGE.read_text().split())
    ports = [*range(10_000, first), *range(last + 1, 1 << 16)] or range(first, last + 1)
    while True:
        port = random.choice(ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
