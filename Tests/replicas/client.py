"""Checks that a Python client gets the same weights if replicas behind nginx are killed during its download.

    python client.py path/to/weight-init path/to/unpacked/packages
"""

import contextlib
import sys
import tempfile

import torch
from torch import nn
from weight_init import Client, trace

from fleet import Fleet, plain_nginx, tools

SEED, CONNECTIONS = 7, 3


def build():
    """A model of 256 MiB in tensors of 64 MiB, so that an interrupted reply is resumed within a tensor."""
    return nn.Sequential(*(nn.Linear(4096, 4096, bias=False) for _ in range(4)))


def digest(module):
    return [int(parameter.detach().view(torch.int32).to(torch.int64).sum()) for parameter in module.parameters()]


class Counting(Client):
    """A client that counts its requests for tensors."""

    requests = 0

    def _ask(self, path, asked):
        Counting.requests += path == "/init"
        return super()._ask(path, asked)


def loaded(url, request, progress):
    with torch.device("meta"):
        module = build()
    client = Counting(url, timeout=60)
    client.load_(module, request, seed=SEED, connections=CONNECTIONS, progress=progress)
    return digest(module), client.received


def main():
    binary, unpacked = sys.argv[1:]
    request = trace(build, device="meta")
    torch.manual_seed(SEED)
    expected = digest(build())
    killed = []
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as ends:
        fleet = Fleet(ends, binary, tools(unpacked), directory)

        def kill(at, total):
            if not killed and at > total // 4:
                killed.append(at)
                for replica in fleet.replicas[1:]:
                    replica.kill()

        weights, received = loaded(f"http://127.0.0.1:{fleet.front(plain_nginx)}", request, kill)
    assert killed and weights == expected, "the weights are not those of the constructor"
    assert Counting.requests > CONNECTIONS, "no reply broke off: nothing was retried"
    size = sum(parameter.nbytes for parameter in build().parameters())
    # Incomplete rows are fetched again, and up to a MiB of each connection that nginx had buffered.
    assert received < 1.05 * size, f"{received} bytes were received for {size}"
    print(f"client: two of three replicas killed after {killed[0] >> 20} MiB of {size >> 20}; "
          f"{Counting.requests - CONNECTIONS} requests repeated, {received / size - 1:.2%} more received")


if __name__ == "__main__":
    main()
