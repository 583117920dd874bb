"""Writes the SHA-256 of the tensor that replicas.py fetches, made by PyTorch in one process.

    python make_digest.py > normal_512MiB.sha256

Made with torch 2.13.0+cpu on x86-64 with AVX2.
"""

import hashlib

import torch

SEED, SHAPE = 42, (8192, 16384)

torch.manual_seed(SEED)
tensor = torch.empty(SHAPE)
torch.nn.init.normal_(tensor)
print(hashlib.sha256(tensor.numpy()).hexdigest(), f"normal seed={SEED} shape={SHAPE[0]},{SHAPE[1]} float32")
