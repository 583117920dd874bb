"""Real libraries' models, in the environment of `make test-models`: reads one command per line, prints its seconds.

construct MODEL SEED        PyTorch's default generator is seeded, then the library makes MODEL
fetch PORT MODEL SEED       posts MODEL's request to the service, and reads the reply into allocated memory

MODEL is resnet50 (torchvision), or 16 M elements by timm's `trunc_normal_` or, as trunc_normal_of_torch, by PyTorch's.
"""

import http.client
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "clients/python/models"))
import catalogue

catalogue.declare_torchvision_operators()

import torch
from timm.layers import trunc_normal_
from torchvision.models import resnet50
from weight_init import trace

ELEMENTS = 1 << 24


#: Allocated and touched memory, so that page faults are not measured.
elements = torch.zeros(ELEMENTS)


class Truncated(torch.nn.Module):
    def __init__(self, initialise):
        super().__init__()
        self.weight = torch.nn.Parameter(elements)
        initialise(self.weight)


BUILDS = {
    "resnet50": resnet50,
    "trunc_normal": lambda: Truncated(trunc_normal_),
    "trunc_normal_of_torch": lambda: Truncated(torch.nn.init.trunc_normal_),
}
requests = {}
memory = bytearray(128 << 20)


def construct(model, seed):
    start = time.perf_counter()
    torch.manual_seed(int(seed))
    BUILDS[model]()
    return time.perf_counter() - start


def fetch(port, model, seed):
    if model not in requests:
        requests[model] = trace(BUILDS[model], device="meta")
    body = json.dumps(requests[model] | {"seed": int(seed), "format": "safetensors"}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", int(port))
    connection.connect()
    start = time.perf_counter()
    connection.request("POST", "/init", body, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    assert reply.status == 200, reply.read()
    length, view = int(reply.headers["Content-Length"]), memoryview(memory)
    while length > 0:
        count = reply.readinto(view[:length])
        assert count > 0
        length -= count
    taken = time.perf_counter() - start
    connection.close()
    return taken


torch.set_num_threads(1)
for line in sys.stdin:
    command, *arguments = line.split()
    print({"construct": construct, "fetch": fetch}[command](*arguments), flush=True)
