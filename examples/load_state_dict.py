"""A model's weights in PyTorch, initialised by the service alone.

    pip install requests safetensors torch
    python load_state_dict.py
"""

import hashlib
import json
import os
import pathlib

import requests
import safetensors.torch
import torch
from torch import nn


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 256)
        self.fc2 = nn.Linear(256, 128)
        self.fc3 = nn.Linear(128, 10)

    def forward(self, pixels):
        return self.fc3(self.fc2(self.fc1(pixels).relu()).relu())


service = os.environ.get("WEIGHT_INIT_URL", "http://localhost:8080")
request = json.loads((pathlib.Path(__file__).parent / "models" / "mlp.json").read_text())
token = os.environ.get("WEIGHT_INIT_TOKEN")
fields = {"Authorization": f"Bearer {token}"} if token else {}
reply = requests.post(f"{service}/init", json={**request, "format": "safetensors"}, headers=fields, timeout=60)
if not reply.ok:
    raise SystemExit(reply.json()["detail"])

# Tensors of the device "meta" have a shape and no memory. The service's tensors take their place.
with torch.device("meta"):
    model = Perceptron()
model.load_state_dict(safetensors.torch.load(reply.content), assign=True)

weights = model.state_dict()
digest = hashlib.sha256()
for tensor in weights.values():
    digest.update(tensor.numpy())
print(*weights)
print(*(f"{value:.6f}" for value in weights["fc1.weight"].flatten()[:4]))
print(digest.hexdigest())
