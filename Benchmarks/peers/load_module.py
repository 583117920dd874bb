"""Measures the time for a ResNet-50 with initial weights: reads one command per line, prints the seconds it took.

construct SEED    torch.manual_seed, then torchvision.models.resnet50()
load SEED         Client.load_ of a resnet50() on the meta device, which is built before the clock starts

    load_module.py URL

The two models are compared, tensor by tensor, before the first command.
"""

import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "clients/python/models"))
import catalogue

catalogue.declare_torchvision_operators()

import torchvision
from weight_init import Client, trace


def construct(seed):
    start = time.perf_counter()
    torch.manual_seed(seed)
    model = torchvision.models.resnet50()
    return time.perf_counter() - start, model


def load(seed):
    with torch.device("meta"):
        model = torchvision.models.resnet50()
    start = time.perf_counter()
    client.load_(model, request, seed=seed)
    return time.perf_counter() - start, model


client = Client(sys.argv[1])
request = trace(torchvision.models.resnet50)
expected, loaded = construct(1)[1].state_dict(), load(1)[1].state_dict()
if list(loaded) != list(expected) or not all(torch.equal(loaded[name], tensor) for name, tensor in expected.items()):
    raise SystemExit("the service's ResNet-50 is not the constructor's")
del expected, loaded
print("ready", flush=True)
for line in sys.stdin:
    what, seed = line.split()
    print({"construct": construct, "load": load}[what](int(seed))[0], flush=True)
