"""A tensor as a NumPy array.

    pip install numpy requests
    python tensor.py
"""

import hashlib
import io
import os

import numpy
import requests

service = os.environ.get("WEIGHT_INIT_URL", "http://localhost:8080")
query = {
    "method": "kaiming_normal",
    "shape": "64,3,7,7",
    "seed": 42,
    "mode": "fan_out",
    "nonlinearity": "relu",
    "format": "npy",
}
token = os.environ.get("WEIGHT_INIT_TOKEN")
fields = {"Authorization": f"Bearer {token}"} if token else {}
reply = requests.get(f"{service}/init", params=query, headers=fields, timeout=60)
if not reply.ok:
    raise SystemExit(reply.json()["detail"])
weight = numpy.load(io.BytesIO(reply.content))

print(list(weight.shape), weight.dtype)
print(*(f"{value:.6f}" for value in weight.flat[:4]))
print(hashlib.sha256(weight.tobytes()).hexdigest())
