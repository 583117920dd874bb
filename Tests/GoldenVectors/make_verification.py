#!/usr/bin/env python3
"""Makes the vectors of `weight-init verify` with PyTorch, or checks existing ones.

    python make_verification.py --output ../../Sources/CEmbeddedFiles/vectors.txt
    python make_verification.py --check ../../Sources/CEmbeddedFiles/vectors.txt

Each method and dtype has at least two lines. A line is a query to /init, a space, and the SHA-256 of the elements'
bytes, row-major and little-endian. `orthogonal` has a tolerance instead of a digest, followed by the bytes in
hexadecimal. It has the requirements of make_vectors.py.
"""
import argparse
import math
import pathlib

import torch

from make_vectors import DTYPES, VERSION, complete_init, digest, initialise, little_endian

# A shape that ends in the middle of a block of normals, and takes long enough to be timed.
LARGE = [1024, 1031]

CALLS = {
    "uniform_": [([3, 5], {}), (LARGE, {"a": -0.5, "b": 0.25})],
    # PyTorch draws fewer than 16 elements by another algorithm.
    "normal_": [([3, 5], {"mean": 1.0, "std": 0.5}), (LARGE, {"std": 0.02})],
    # The bounds of the second and third accept less than 30 %, so PyTorch draws them by a third algorithm.
    "trunc_normal_": [(LARGE, {}), ([3, 5], {"a": -0.1, "b": 0.2}), ([64, 65], {"mean": 1.0, "a": 2.0, "b": 2.5})],
    "constant_": [([3, 5], {"val": 0.3}), (LARGE, {"val": -1.5})],
    "ones_": [([3, 5], {}), (LARGE, {})],
    "zeros_": [([3, 5], {}), (LARGE, {})],
    "eye_": [([3, 5], {}), (LARGE, {})],
    "dirac_": [([6, 4, 3], {"groups": 2}), ([192, 64, 9, 9], {"groups": 3})],
    "xavier_uniform_": [([64, 3, 7, 7], {"gain": 5 / 3}), (LARGE, {})],
    "xavier_normal_": [([64, 3, 7, 7], {"gain": 5 / 3}), (LARGE, {})],
    "kaiming_uniform_": [([10, 512], {"a": math.sqrt(5)}), (LARGE, {})],
    "kaiming_normal_": [([64, 3, 7, 7], {"mode": "fan_out", "nonlinearity": "relu"}), (LARGE, {})],
    "orthogonal_": [([24, 16], {}), ([12, 20], {"gain": 1.5})],
    "sparse_": [([30, 20], {"sparsity": 0.5, "std": 0.1}), (LARGE, {"sparsity": 0.9})],
    # Not in PyTorch: the constants come from `jax.nn.initializers`, the random numbers from PyTorch.
    "variance_scaling": [
        ([64, 3, 7, 7], {"scale": 2.0, "mode": "fan_out"}), (LARGE, {"mode": "fan_avg", "distribution": "uniform"}),
        ([6, 5], {"scale": 0.5, "distribution": "normal"}),
    ],
    "lecun_uniform": [([64, 3, 7, 7], {}), (LARGE, {})],
    "lecun_normal": [([64, 3, 7, 7], {}), (LARGE, {})],
}

# `method`: its default scale, mode and distribution for `variance_scaling`.
SCALED = {
    "variance_scaling": (1.0, "fan_in", "truncated_normal"),
    "lecun_uniform": (1.0, "fan_in", "uniform"),
    "lecun_normal": (1.0, "fan_in", "truncated_normal"),
}


def scaled(method, shape, dtype, scale, mode, distribution):
    """A tensor whose variance is scale / fan, as `jax.nn.initializers.variance_scaling` defines it."""
    tensor = torch.empty(shape, dtype=getattr(torch, dtype))
    fan_in, fan_out = torch.nn.init._calculate_fan_in_and_fan_out(tensor)
    gain = math.sqrt(scale)
    if mode == "fan_avg":
        std = gain * math.sqrt(2.0 / float(fan_in + fan_out))
    else:
        std = gain / math.sqrt({"fan_in": fan_in, "fan_out": fan_out}[mode])
    if distribution == "uniform":
        bound = math.sqrt(3.0) * std
        return torch.nn.init.uniform_(tensor, -bound, bound)
    if distribution == "normal":
        return torch.nn.init.normal_(tensor, 0.0, std)
    # The standard deviation of N(0, 1) truncated to [-2, 2].
    std /= 0.87962566103423978
    return torch.nn.init.trunc_normal_(tensor, 0.0, std, -2 * std, 2 * std)


def line(method, shape, params, dtype, seed):
    case = {"method": method, "shape": shape, "dtype": dtype, "params": params, "seed": seed}
    arguments = "".join(f"&{name}={value}" for name, value in params.items())
    query = f"method={method.rstrip('_')}&dtype={dtype}&shape={','.join(map(str, shape))}&seed={seed}{arguments}"
    if method in SCALED:
        names = ("scale", "mode", "distribution")
        constants = dict(zip(names, SCALED[method])) | params
        torch.manual_seed(seed)
        return f"{query} {digest(little_endian(scaled(method, shape, dtype, **constants)))}"
    if method != "orthogonal_":
        torch.manual_seed(seed)
        return f"{query} {digest(little_endian(initialise(case)))}"
    case["id"], matrices = "orthogonal", {}
    complete_init(case, matrices)
    return f"{query} {case['abs_tol']!r} {matrices[case['npy']].tobytes().hex()}"


def lines():
    yield f"# Made by PyTorch {VERSION} with Tests/GoldenVectors/make_verification.py; do not edit."
    seed = 0
    for method, calls in CALLS.items():
        for dtype in DTYPES[:2] if method == "orthogonal_" else DTYPES:
            for shape, params in calls:
                seed += 1
                yield line(method, shape, params, dtype, seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, help="the file to write")
    parser.add_argument("--check", type=pathlib.Path, help="a file to compare with what PyTorch makes now")
    options = parser.parse_args()
    if not torch.__version__.startswith(VERSION):
        raise SystemExit(f"PyTorch {VERSION} is needed, this is {torch.__version__}")
    text = "".join(line + "\n" for line in lines())
    if options.output:
        options.output.write_text(text)
    if options.check and options.check.read_text() != text:
        raise SystemExit(f"{options.check} is not what PyTorch makes")


if __name__ == "__main__":
    main()
