"""Free ports for servers that need to be told theirs."""

import pathlib
import random
import socket

RANGE = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port():
    """A port of this machine, outside of those that the kernel gives to connections and to port 0.

    So nothing takes it before its server does, nor while its server is being started again.
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
