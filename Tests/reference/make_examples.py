"""Writes the expected output of the programs of examples/, with PyTorch's tensors.

    python make_examples.py > examples.json

Made with torch 2.13.0+cpu on x86-64 with AVX2.
"""

import hashlib
import json

import torch
from torch import nn


def first_values(tensor):
    return " ".join(f"{value:.6f}" for value in tensor.flatten()[:4].tolist())


def digest(tensors):
    return hashlib.sha256(b"".join(tensor.detach().numpy().tobytes() for tensor in tensors)).hexdigest()


def tensor():
    torch.manual_seed(42)
    weight = nn.init.kaiming_normal_(torch.empty(64, 3, 7, 7), mode="fan_out", nonlinearity="relu")
    return [f"{list(weight.shape)} float32", first_values(weight), digest([weight])]


def perceptron():
    torch.manual_seed(42)
    model = nn.Module()
    model.fc1, model.fc2, model.fc3 = nn.Linear(784, 256), nn.Linear(256, 128), nn.Linear(128, 10)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight, gain=nn.init.calculate_gain("relu"))
            nn.init.zeros_(module.bias)
    weights = model.state_dict()
    return [" ".join(weights), first_values(weights["fc1.weight"]), digest(weights.values())]


def federated():
    return [f"{language:10} {perceptron()[-1]}" for language in ("python", "javascript", "shell")]


# The program itself compares its losses with those of the constructor's weights, because matrix products have other
# bits on other processors.
FSDP = ["2 ranks hold 82689 parameters together", "5 losses of each rank are those of one process, to the bit; they fall: True"]

print(json.dumps({
    "tensor": tensor(), "model": perceptron(), "load_state_dict": perceptron(), "fsdp": FSDP, "federated": federated(),
}, indent=2))  # fmt: skip
