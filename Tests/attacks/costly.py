"""Short requests that cost the service most, for the attacks beside this file and for the benchmark of stalls.

Each is a description, a path, and a request. Bodies have at most 1 MiB, the default limit.
"""

import json

LINEAR = {"type": "Linear", "in_features": 1, "out_features": 1}
# 79 984 tensors.
LSTM = {"layer": {"type": "LSTM", "input_size": 1, "hidden_size": 1, "num_layers": 9998, "bidirectional": True}}
REPEATED = {"layers": [{"repeat": 4900, "layers": [LINEAR]}]}

# Large models: planning, canonical text and encoding.
MODELS = [
    ("an explanation of 80 000 tensors", "/explain", LSTM),
    ("safetensors of 80 000 tensors", "/init", LSTM | {"format": "safetensors"}),
    ("a summary of 80 000 tensors", "/init", LSTM | {"format": "summary"}),
    ("JSON of 80 000 tensors", "/init", LSTM),
]
# Work that must be done before the first byte.
WORK = [
    ("a sparse matrix", "/init", {"method": "sparse", "shape": [67108864, 1], "sparsity": 0.5, "format": "raw"}),
    ("an orthogonal matrix", "/init", {"method": "orthogonal", "shape": [8192, 8192], "format": "raw"}),
    ("a summary of 2^32 elements", "/init", {"method": "normal", "shape": [1 << 32], "format": "summary"}),
    ("a tensor behind a truncated normal", "/init", {
        "tensors": [{"method": "trunc_normal", "shape": [1 << 30]}, {"method": "normal", "shape": [9]}], "format": "summary"}),
]  # fmt: skip
# Long bodies, long rules, and replies whose pieces are costly.
OTHERS = [
    ("rules against 9 800 parameters", "/explain", REPEATED | {
        "rules": [{"name": f"*a*b*c*d*{number}x", "method": "zeros"} for number in range(390)] + [{"name": "*", "method": "zeros"}]}),
    ("a body of 25 000 tensors", "/explain", {"tensors": [{"method": "zeros", "shape": [1]} for _ in range(25_000)]}),
    ("a body of 130 000 numbers", "/explain", {"method": "zeros", "shape": [1] * 130_000}),
    ("4 000 slices", "/explain", {"layers": [LINEAR] * 4000, "slices": {f"{number}.weight": "0:1" for number in range(4000)}}),
    ("4 000 ties", "/explain", {"layers": [LINEAR] * 4000, "tie": {f"{number}.weight": "0.weight" for number in range(1, 4000)}}),
    ("a model repeated, a generator for each tensor", "/init", REPEATED | {"seeding": "per_tensor", "format": "safetensors"}),
    ("truncated normals with bounds far out", "/init", {
        "method": "trunc_normal", "shape": [1 << 26], "a": 3, "b": 3.1, "format": "raw"}),
    ("a column of a matrix", "/init", {"method": "normal", "shape": [100_000, 100_000], "slice": ":,5:6", "format": "raw"}),
]  # fmt: skip


EVERY = MODELS + WORK + OTHERS


def body(request):
    return json.dumps(request, separators=(",", ":")).encode()
