"""Requests for models and tensors: those that the repository has, and some with members that those leave out."""

import json

import yaml
from service import ROOT

EXAMPLES = ROOT / "examples" / "models"
PLANNED = ("vit_b16", "gpt2_small")
FURTHER = {
    "further-entries": {
        "layers": [
            {"type": "Parameter", "shape": []},
            {"type": "nn.Parameter", "shape": [2], "dtype": "int64", "method": "ones", "persistent": False},
            {"name": "b", "layers": [], "dtype": "float64", "cast": "float16", "repeat": 0, "rules": []},
            {
                "name": "d{}", "repeat": 2, "type": "Linear", "in_features": 2, "out_features": 2, "bias": False, "dtype": "float64",
                "cast": "bfloat16", "rules": [[{"method": "skip"}], [{"type": "Linear", "method": "normal", "std": 1e-300}]],
            },
            {"type": "Identity", "anything": [1, {"b": "c"}]},
        ],
        "seed": "-9223372036854775808", "defaults": False, "include": ["d0.*", "0"], "description": "",
        "tie": {"d1.weight": "d0.weight"}, "slices": {"d0.weight": "0:1,:"}, "cast": "float16",
        "steps": [
            {"method": "normal", "shape": [3], "dtype": "float64"},
            {"tensor": ["d0.weight"], "slice": "0", "method": "mul", "value": "inf"},
            {"tensor": "d0.weight", "method": "clamp", "min": -1, "max": 0.5},
        ],
    },
    "further-gain": {"method": "xavier_normal", "shape": [2, 3], "gain": 2, "seed": "9223372036854775807"},
    "further-words": {"method": "orthogonal", "shape": [2, 3], "gain": "inf"},
    "further-param": {"method": "xavier_normal", "shape": [2, 3], "gain": {"nonlinearity": "relu"}, "format": "summary"},
    "further-sliced": {"method": "uniform", "shape": [4], "a": -1e-300, "b": 1, "slice": "1:3", "cast": "bfloat16", "dtype": "float64"},
    "further-tensors": {
        "tensors": [
            {"name": "a", "shape": [], "method": "data", "base64": "AAAAAA=="}, {"shape": [2], "persistent": False, "cast": "float16"},
        ],
        "steps": [{"tensor": "1", "method": "arange", "start": 0, "step": 0.5}],
    },
    "further-layer": {
        "layer": {"type": "Conv2d", "in_channels": 1, "out_channels": 2, "kernel_size": [3, 3], "dtype": "float64"}, "seeding": "per_tensor",
    },
}  # fmt: skip


def named(service):
    """Requests by names: examples, those of the catalogue, those of the contract, and further ones."""
    requests = {f"example-{path.stem}": json.loads(path.read_text()) for path in sorted(EXAMPLES.glob("*.json"))}
    for model in json.loads(service.get("/models"))["models"]:
        request = service.get(f"/{model['name']}/resolve/main/init.json")
        requests[model["name"].replace("/", "-")] = json.loads(request)
    body = yaml.safe_load((ROOT / "openapi.yaml").read_text())["components"]["requestBodies"]["init"]
    for name, example in body["content"]["application/json"]["examples"].items():
        requests[f"contract-{name}"] = example["value"]
    return requests | FURTHER


def planned():
    """Two large models; their plans have the digest of all bytes."""
    return {f"plan-{name}": json.loads((EXAMPLES / f"{name}.json").read_text()) | {"digest": "sha256"} for name in PLANNED}
