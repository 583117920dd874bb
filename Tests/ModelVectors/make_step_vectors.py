#!/usr/bin/env python3
"""Makes the vectors of steps with PyTorch: requests, and the digests of all their tensors.

    python make_step_vectors.py > steps.jsonl
    python make_step_vectors.py --programs DIRECTORY > step_programs.jsonl

A line is {"request", "seed", "tensors": {name: [dtype, shape, SHA-256 of the bytes]}}. The first form writes requests made here:
each step in each type, on tensors and on blocks of them. The second translates recorded programs of models (`program_*.json`).

`erfinv` is PyTorch's float64 function, rounded, because the bits of the float32 function differ between processors.
"""
import argparse
import base64
import hashlib
import json
import math
import pathlib
import zlib

import torch

VERSION = "2.13"
DTYPES = {name: getattr(torch, name) for name in
          ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")}
FLOATS = ["float32", "float64", "float16", "bfloat16"]
INTEGERS = ["int64", "int32", "int16", "int8", "uint8"]


def region(tensor, text):
    """The block of a tensor that a step's slice selects; an index keeps its dimension."""
    if text is None:
        return tensor
    index = []
    for item in text.split(","):
        ends = [int(end) if end.strip() else None for end in item.split(":")]
        index.append(slice(ends[0], ends[0] + 1 if ends[0] != -1 else None) if len(ends) == 1 else slice(*ends))
    return tensor[tuple(index)]


def number(value):
    return float(value) if isinstance(value, str) else value


def initialise(tensor, entry):
    """Calls a method on a tensor, or on a view of one."""
    method = entry["method"]
    if method == "uniform":
        tensor.uniform_(entry.get("a", 0.0), entry.get("b", 1.0))
    elif method == "normal":
        tensor.normal_(entry.get("mean", 0.0), entry.get("std", 1.0))
    elif method == "trunc_normal":
        torch.nn.init.trunc_normal_(tensor, entry.get("mean", 0.0), entry.get("std", 1.0), entry.get("a", -2.0), entry.get("b", 2.0))
    elif method in ("zeros", "ones"):
        tensor.fill_(method == "ones")
    elif method == "constant":
        tensor.fill_(number(entry["value"]))
    elif method == "arange":
        start, step, count = entry.get("start", 0), entry.get("step", 1), tensor.numel()
        kind = torch.float64 if tensor.dtype.is_floating_point else torch.int64
        values = torch.tensor([start + i * step for i in range(count)], dtype=kind).reshape(tensor.shape)
        tensor.copy_(values.float() if tensor.dtype in (torch.float16, torch.bfloat16) else values)
    elif method == "data":
        data = base64.b64decode(entry["base64"]) if "base64" in entry else zlib.decompress(base64.b64decode(entry["zlib"]))
        tensor.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8).view(tensor.dtype).reshape(tensor.shape))
    else:
        arguments = {name: value for name, value in entry.items() if name in ("gain", "mode", "nonlinearity", "sparsity", "std", "a")}
        getattr(torch.nn.init, method + "_")(tensor, **arguments)


def change(tensor, step, tensors):
    method = step["method"]
    if method in ("add", "sub", "mul", "div"):
        getattr(tensor, method + "_")(number(step["value"]))
    elif method == "clamp":
        tensor.clamp_(step.get("min"), step.get("max"))
    elif method == "erfinv":
        single = tensor.float()
        # Beyond ±1 the result is NaN, whose sign comes from the float32 function.
        tensor.copy_(torch.where(single.abs() > 1, single.erfinv(), tensor.double().erfinv().float()))
    elif method == "copy":
        source = region(tensors[step["from"]], step.get("from_slice"))
        tensor.copy_(source.reshape(tensor.shape).clone())
    elif method == "norm":
        tensor.copy_(torch.norm_except_dim(tensors[step["from"]], 2, step.get("dim", 0)).reshape(tensor.shape))
    else:
        initialise(tensor, step)


@torch.no_grad()
def run(request, seed):
    """The tensors in the reply to a request, made as a PyTorch program would make them."""
    torch.manual_seed(seed)
    tensors = {}
    for entry in request["tensors"]:
        tensor = torch.empty(entry["shape"], dtype=DTYPES[entry.get("dtype", "float32")])
        if "method" in entry:
            initialise(tensor, entry)
        tensors[entry["name"]] = tensor
    for step in request.get("steps", []):
        names = step.get("tensor", [])
        for name in [names] if isinstance(names, str) else names:
            change(region(tensors[name], step.get("slice")), step, tensors)
        if not names:
            discard(step)
    sent = {}
    for entry in request["tensors"]:
        name, tensor = entry["name"], tensors[entry["name"]]
        cast = entry.get("cast", request.get("cast"))
        if name in request["include"] if "include" in request else entry.get("persistent", True):
            sent[name] = tensor.to(DTYPES[cast]) if cast and tensor.dtype.is_floating_point else tensor
    return sent


def discard(step):
    dtype = DTYPES[step.get("dtype", "float32")]
    left = math.prod(step["shape"])
    if step["method"] == "uniform":
        while left > 0:
            torch.empty(min(left, 1 << 24), dtype=dtype).uniform_()
            left -= 1 << 24
    else:
        initialise(torch.empty(step["shape"], dtype=dtype), step)


def digest(tensor):
    data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return [str(tensor.dtype).removeprefix("torch."), list(tensor.shape), hashlib.sha256(data).hexdigest()]


def line(request, seed):
    tensors = {name: digest(tensor) for name, tensor in run(request, seed).items()}
    return json.dumps({"request": request, "seed": seed, "tensors": tensors})


# MARK: Requests

def encoded(tensor, form):
    data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return {form: base64.b64encode(zlib.compress(data, 9) if form == "zlib" else data).decode()}


def entry(name, shape, dtype="float32", **members):
    return {"name": name, "shape": shape} | ({} if dtype == "float32" else {"dtype": dtype}) | members


def requests():
    for dtype in FLOATS:
        normal = entry("x", [37, 21], dtype, method="normal", std=2.0)
        for method in ("add", "sub", "mul", "div"):
            for value in (0.3, -1.7, 1e-3, 3.0, 0.028284271247461905):
                yield {"tensors": [normal], "steps": [{"tensor": "x", "method": method, "value": value}]}
        for method, value in (("div", 0.0), ("mul", "inf"), ("add", "-inf")):
            yield {"tensors": [entry("x", [5, 7], dtype, method="normal")],
                   "steps": [{"tensor": "x", "method": method, "value": value}]}
        for ends in ({"min": -0.5, "max": 0.7}, {"min": 0.1}, {"max": -0.1}, {"min": 0.3, "max": 0.3}):
            yield {"tensors": [normal], "steps": [{"tensor": "x", "method": "clamp"} | ends]}
        # Blocks: a row, rows, columns, a block of three dimensions; an index keeps its dimension.
        cube = entry("x", [6, 5, 7], dtype, method="uniform", a=-1.0)
        for part in ("1", "-1", "2:4", ":,1:3", ":,:,4:", "1:5,2,3:6", ":,-1"):
            yield {"tensors": [cube], "steps": [
                {"tensor": "x", "slice": part, "method": "mul", "value": 0.7}, {"tensor": "x", "slice": part, "method": "add", "value": 0.1}]}
            yield {"tensors": [cube], "steps": [{"tensor": "x", "slice": part, "method": "constant", "value": 0.3},
                                                {"tensor": "x", "method": "sub", "value": 0.2}]}
            yield {"tensors": [cube], "steps": [{"tensor": "x", "slice": part, "method": "uniform", "b": 2.0}, {"tensor": "x", "slice": "0", "method": "normal"}]}
        # Draws into contiguous blocks: of fewer than 16 elements, of more, with a cached sample.
        for method in ({"method": "normal", "std": 0.5}, {"method": "trunc_normal", "std": 0.7}, {"method": "xavier_uniform"},
                       {"method": "kaiming_normal", "mode": "fan_out"}):
            yield {"tensors": [entry("x", [9, 12], dtype), entry("y", [5, 3], dtype, method="ones")], "steps": [
                {"tensor": "x", "slice": "0", "method": "normal"}, {"tensor": "x", "slice": "1:4"} | method, {"tensor": "y", "slice": "2:"} | method,
                {"tensor": "x", "slice": "4:"} | method, {"tensor": "y", "slice": "0,1:", "method": "normal"}]}
        # Discarded draws of known and unknown numbers of words, and draws that follow them.
        yield {"tensors": [entry("x", [50], dtype, method="normal")], "steps": [
            {"method": "uniform", "shape": [1000]}, {"method": "normal", "shape": [7]}, {"method": "trunc_normal", "shape": [100], "dtype": dtype},
            {"method": "normal", "shape": [5], "dtype": dtype}, {"tensor": "x", "slice": "3:9", "method": "normal"}, {"tensor": "x", "slice": "20:", "method": "uniform"}]}
        # Copies: of whole tensors, of blocks, of tensors that are changed later, within a tensor, between types.
        for other in FLOATS:
            yield {"tensors": [entry("a", [8, 6], dtype, method="normal", std=3.0), entry("b", [8, 6], other), entry("c", [4, 6], other)], "steps": [
                {"tensor": "b", "method": "copy", "from": "a"}, {"tensor": "a", "method": "mul", "value": 2.0},
                {"tensor": "c", "method": "copy", "from": "a", "from_slice": "4:"}, {"tensor": "b", "slice": "1:3,2:5", "method": "copy", "from": "c", "from_slice": "0:2,3:"},
                {"tensor": "b", "slice": "3", "method": "copy", "from": "b", "from_slice": "1"}, {"tensor": "c", "method": "div", "value": 3.0}]}
        yield {"tensors": [entry("i", [3, 4], "int64", method="arange", start=-5, step=3), entry("x", [1, 3, 4], dtype), entry("y", [12], dtype)],
               "steps": [{"tensor": "x", "method": "copy", "from": "i"}, {"tensor": "y", "method": "arange", "start": 0.5, "step": 0.25}]}
        for cast in FLOATS:
            yield {"tensors": [entry("x", [40], dtype, method="normal"), entry("n", [], "int64", method="zeros"), entry("y", [3], dtype, method="normal", cast="float64")],
                   "cast": cast, "steps": [{"tensor": "x", "slice": "1:9", "method": "mul", "value": 1.1}]}
        yield {"tensors": [entry("x", [3, 3], dtype, method="arange", start=1.5, step=0.125), entry("y", [2, 5], dtype, method="constant", value="-inf")]}
        torch.manual_seed(1)
        values = torch.randn(6, 7).to(DTYPES[dtype])
        for form in ("base64", "zlib"):
            yield {"tensors": [entry("x", [6, 7], dtype, method="data") | encoded(values, form), entry("y", [4, 6], dtype, method="zeros")],
                   "steps": [{"tensor": "y", "slice": "1:3,2:5", "method": "data"} | encoded(values[:2, :3], form)]}
    for dtype in ("float32", "float16", "bfloat16"):
        chain = [{"method": "erfinv"}, {"method": "mul", "value": 0.028284271247461905}, {"method": "add", "value": 0.01}, {"method": "clamp", "min": -0.05, "max": 0.06}]
        for shape in ([1000], [33, 31], [7]):
            yield {"tensors": [entry("x", shape, dtype)], "steps": [{"tensor": "x", "method": "uniform", "a": -0.9544997361036416, "b": 0.9544997361036416}] + [
                {"tensor": "x"} | step for step in chain]}
        yield {"tensors": [entry("x", [20000], dtype, method="uniform", a=-1.0)], "steps": [{"tensor": "x"} | chain[0]]}
        # NaN has several bit patterns in bfloat16, and PyTorch gives more than one.
        count = 5 if dtype == "bfloat16" else 6
        yield {"tensors": [entry("x", [count], dtype, method="arange", start=-1.0, step=0.5)], "steps": [{"tensor": "x"} | chain[0], {"tensor": "x", "method": "clamp", "min": -9.0}]}
    for dtype in INTEGERS:
        yield {"tensors": [entry("a", [3, 5], dtype, method="arange"), entry("b", [4], dtype, method="arange", start=100, step=-7),
                           entry("c", [2, 2], dtype, method="constant", value=7), entry("d", [3], dtype, method="ones"), entry("e", [0, 3], dtype, method="zeros"),
                           entry("f", [4], dtype, method="data") | encoded(torch.tensor([1, 2, 3, 100], dtype=DTYPES[dtype]), "base64"), entry("x", [3, 5])],
               "steps": [{"tensor": "a", "slice": "1,2:4", "method": "copy", "from": "c", "from_slice": "1"}, {"tensor": "x", "method": "copy", "from": "a"},
                         {"tensor": "b", "slice": "1:3", "method": "zeros"}]}
    yield {"tensors": [entry("m", [4, 4], "bool", method="ones"), entry("n", [5], "bool", method="data") | encoded(torch.tensor([True, False, True, True, False]), "zlib"),
                       entry("big", [2], "int64", method="constant", value=-9007199254740995)], "steps": [{"tensor": "m", "slice": "1:3,1:3", "method": "zeros"}]}
    # Tensors that only steps write, that are not persistent, or that are included by name.
    state = [entry("w", [10, 4]), entry("scale", [4], method="constant", value=1e-6), entry("index", [10], "int64", method="arange", persistent=False),
             entry("scratch", [40], method="normal", persistent=False)]
    writes = [{"tensor": "w", "slice": ":5", "method": "normal", "std": 0.02}, {"tensor": "w", "slice": "5:", "method": "copy", "from": "w", "from_slice": ":5"},
              {"tensor": "w", "slice": "1", "method": "zeros"}, {"tensor": "scale", "method": "mul", "value": 3.0}]
    yield {"tensors": state, "steps": writes}
    yield {"tensors": state, "steps": writes, "include": ["w", "index"]}
    # The same step on several tensors, which draw in turn.
    several = [entry("a", [5, 3]), entry("b", [7]), entry("c", [4, 20], "bfloat16")]
    yield {"tensors": several, "steps": [{"tensor": ["a", "c", "b"], "method": "normal"}, {"tensor": ["c", "a"], "slice": "1:3", "method": "mul", "value": 0.3}]}
    # weight_norm over the first, last and middle dimensions, shorter and longer than eight lanes; of one row or column,
    # of blocks.
    shapes = [[5, length] for length in (1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 15, 16, 23, 64, 127, 1003)]
    shapes += [[length, 3] for length in (1, 2, 7, 8, 30)] + [[6, 1], [1, 6], [9], [1], [4, 6, 5], [3, 5, 1], [7, 1, 3], [1, 1, 5], [1, 9, 1], [24, 6, 16], [2, 3, 4, 5],
                                                          [2, 1, 3, 4], [300, 77], [33000, 2], [2, 33001]]
    for shape in shapes:
        for dim in sorted({-1, 0, min(1, len(shape) - 1), len(shape) - 1}):
            kept = [size if other == dim else 1 for other, size in enumerate(shape)]
            yield {"tensors": [entry("v", shape, method="normal", std=0.1), entry("g", kept)],
                   "steps": [{"tensor": "g", "method": "norm", "from": "v", "dim": dim}]}
    yield {"tensors": [entry("v", [6, 10], method="uniform", a=-1.0), entry("g", [6, 1]), entry("h", [10], "bfloat16"), entry("n", []), entry("k", [2, 6], method="ones")],
           "steps": [{"tensor": "v", "slice": "2:4", "method": "mul", "value": 3.0}, {"tensor": "g", "method": "norm", "from": "v"}, {"tensor": "v", "method": "zeros"},
                     {"tensor": "g", "slice": "1", "method": "mul", "value": 2.0}, {"tensor": "h", "method": "norm", "from": "v", "dim": 1},
                     {"tensor": "n", "method": "norm", "from": "g", "dim": -1}, {"tensor": "k", "slice": "1", "method": "norm", "from": "g"}]}
    yield {"tensors": [entry("v", [12, 12], method="constant", value=1e-30), entry("g", [12, 1]), entry("s", [3, 3], method="sparse", sparsity=0.4), entry("t", [3, 1])],
           "include": ["g", "t"], "steps": [{"tensor": "g", "method": "norm", "from": "v"}, {"tensor": "t", "method": "norm", "from": "s"}]}


# MARK: Recorded programs

def literal(value):
    if "full" in value:
        full = value["full"]
        return {"method": {0: "zeros", 1: "ones"}.get(full, "constant")} | ({} if full in (0, 1) else {"value": full})
    if "range" in value:
        return {"method": "arange", "start": value["range"][0], "step": value["range"][1]}
    return {"method": "data", "zlib": value["zlib"]}


def part(operand, shapes):
    """The slice of rows for a recorded view; other kinds of views do not occur."""
    if not ({"shape", "stride", "offset"} & operand.keys()):
        return {}
    shape = shapes[operand["t"]]
    row = math.prod(shape[1:])
    first, count = operand.get("offset", 0), math.prod(operand["shape"])
    assert first % row == 0 and count % row == 0 and "stride" not in operand
    return {"slice": f"{first // row}:{(first + count) // row}"}


def translated(program):
    tensors, shapes = [], {}
    for state in program["state"]:
        members = {key: state[key] for key in ("name", "shape", "dtype", "persistent") if key in state}
        if "same" in state:
            other = next(tensor for tensor in tensors if tensor["name"] == state["same"])
            members |= {key: value for key, value in other.items() if key not in ("name", "persistent")}
        elif "literal" in state:
            members |= literal(state["literal"])
        shapes[state["name"]] = state["shape"]
        tensors.append(members)
    steps = []
    parameters = {"uniform": ("a", "b"), "normal": ("mean", "std"), "trunc_normal": ("mean", "std", "a", "b"), "fill": ("value",), "mul": ("value",),
                  "add": ("value",), "clamp": ("min", "max"), "erfinv": ()}
    for operation, operand, *arguments in program["steps"]:
        if operation == "discard":
            count, times = arguments[0], (arguments[1:] or [1])[0]
            steps += [{"method": operand, "shape": [count]}] * times
            continue
        method = "constant" if operation == "fill" else operation
        steps.append({"tensor": operand["t"]} | part(operand, shapes) | {"method": method} | dict(zip(parameters[operation], arguments)))
    return {"tensors": tensors, "steps": steps}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, help="a directory of recorded programs")
    options = parser.parse_args()
    if not torch.__version__.startswith(VERSION):
        raise SystemExit(f"PyTorch {VERSION} is needed, this is {torch.__version__}")
    if options.programs:
        for path in sorted(options.programs.glob("program_*.json")):
            print(line(translated(json.loads(path.read_text())), 2024))
        return
    for seed, request in enumerate(requests()):
        print(line(request, seed))


if __name__ == "__main__":
    main()
