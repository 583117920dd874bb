"""Compares a running weight-init with the reference libraries.

Starts the program on a free port and asks it for every tensor and model of Tests/GoldenVectors. NumPy has to load the
npy files, safetensors the safetensors files and Python's parser the JSON, and the tensors have to have PyTorch's bytes.
openapi.yaml has to be valid OpenAPI, and what the program serves.

    python check_formats.py .build/release/weight-init
"""

import functools
import hashlib
import io
import json
import sys
import urllib.parse
import urllib.request

import numpy
import safetensors
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

import checks
from service import ROOT, Service

VECTORS = ROOT / "Tests" / "GoldenVectors" / "visible"
SAFETENSORS_NAMES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}


def from_npy(body, case):
    """The tensor's bytes, read by NumPy."""
    array = numpy.load(io.BytesIO(body), allow_pickle=False)
    expect(array.shape == tuple(case["shape"]), f"NumPy sees the shape {array.shape}")
    expect(array.dtype == numpy.dtype(case["dtype"]), f"NumPy sees the type {array.dtype}")
    return array.tobytes()


def from_safetensors(body):
    """Shape, type and bytes of each tensor, read by the library."""
    return {name: (tensor["shape"], tensor["dtype"], bytes(tensor["data"])) for name, tensor in safetensors.deserialize(body)}


def from_json(body, case):
    """The tensor's bytes, as any client gets them from the numbers."""
    document = json.loads(body)
    expect(document["shape"] == case["shape"] and document["dtype"] == case["dtype"], "the JSON describes another tensor")
    values = numpy.array(document["data"], dtype=numpy.float64)
    # Lists end at a dimension of 0.
    expect(values.size == 0 or values.shape == tuple(case["shape"]), f"the JSON is nested as {values.shape}")
    if case["dtype"] != "bfloat16":
        return values.astype(case["dtype"]).tobytes()
    # A bfloat16 is the upper half of a float32, rounded to even.
    bits = values.astype(numpy.float32).view(numpy.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(numpy.uint16).tobytes()


def expect(holds, otherwise):
    if not holds:
        raise AssertionError(otherwise)


def check_digest(data, case, format):
    digest = hashlib.sha256(data).hexdigest()
    expect(digest == case["sha256"], f"the bytes of {format} are not PyTorch's")


def check_near(data, case):
    """`orthogonal_` has a tolerance: its last bits depend on the processor, in PyTorch, too."""
    found = numpy.frombuffer(data, dtype=case["dtype"]).reshape(case["shape"]).astype(numpy.float64)
    made = numpy.load(VECTORS / case["npy"]).astype(numpy.float64)
    worst = numpy.abs(found - made).max()
    expect(worst <= case["abs_tol"], f"differs by {worst} from PyTorch's; {case['abs_tol']} are allowed")


def check_tensor(service, case):
    query = {
        "method": case["method"],
        "shape": ",".join(map(str, case["shape"])),
        "seed": case["seed"],
        "dtype": case["dtype"],
        **case["params"],
    }
    forms = {"raw": service.get("/init", format="raw", **query), "json": from_json(service.get("/init", **query), case)}
    # NumPy has no bfloat16.
    if case["dtype"] != "bfloat16":
        forms["npy"] = from_npy(service.get("/init", format="npy", **query), case)
    [(shape, dtype, forms["safetensors"])] = from_safetensors(
        service.get("/init", format="safetensors", **query)
    ).values()
    expect(shape == case["shape"], f"safetensors sees the shape {shape}")
    expect(dtype == SAFETENSORS_NAMES[case["dtype"]], f"safetensors sees the type {dtype}")
    for format, data in forms.items():
        if case["compare"] == "bits":
            check_digest(data, case, format)
        else:
            check_near(data, case)


def check_model(service, case):
    layers = [{"type": layer["type"], **layer["args"]} for layer in case["layers"]]
    request = {"seed": case["seed"], "dtype": case["dtype"], "layers": layers, "format": "safetensors"}
    found = from_safetensors(service.post("/init", request))
    wanted = {tensor["name"]: tensor for tensor in case["tensors"]}
    expect(found.keys() == wanted.keys(), f"other names than PyTorch's: {sorted(found.keys() ^ wanted.keys())}")
    for name, tensor in wanted.items():
        shape, _, data = found[name]
        expect(shape == tensor["shape"], f"{name} has the shape {shape}")
        check_digest(data, tensor, name)


def check_contract(service):
    text = (ROOT / "openapi.yaml").read_bytes()
    OpenAPIV31SpecValidator(yaml.safe_load(text)).validate()
    expect(service.get("/openapi.yaml") == text, "/openapi.yaml is not the file in the repository")


def lines(name):
    return map(json.loads, (VECTORS / name).read_text().splitlines())


def main():
    with Service(sys.argv[1]) as service:
        named = {"openapi.yaml": lambda: check_contract(service)}
        for case in lines("cases.jsonl"):
            if case["kind"] == "init":
                named[case["id"]] = functools.partial(check_tensor, service, case)
        for case in lines("models.jsonl"):
            named[case["id"]] = functools.partial(check_model, service, case)
        passed = checks.passed("check_formats", named)
    if service.process.returncode != 0:
        print(f"the service ended with {service.process.returncode}", file=sys.stderr)
    raise SystemExit(0 if passed and service.process.returncode == 0 else 1)


if __name__ == "__main__":
    main()
