"""Writes stacks.jsonl: stacks of layers, with their variances by theory and in runs through weights made by PyTorch.

The theory is integrated here with 48-point Gauss-Legendre panels over PyTorch's activations and their derivatives by
autograd; the runs are those that docs/propagation.md describes, with torch.nn.init on a CPU.

    python make_vectors.py > stacks.jsonl      (torch 2.13, numpy)
"""

import json
import math

import numpy
import torch
from torch.nn import functional

NODES, WEIGHTS = numpy.polynomial.legendre.leggauss(48)

ACTIVATIONS = {
    "linear": lambda z, _: z * 1,
    "sigmoid": lambda z, _: torch.sigmoid(z),
    "tanh": lambda z, _: torch.tanh(z),
    "relu": lambda z, _: functional.relu(z),
    "leaky_relu": functional.leaky_relu,
    "selu": lambda z, _: functional.selu(z),
    "celu": functional.celu,
    "elu": functional.elu,
    "gelu": lambda z, _: functional.gelu(z),
    "gelu_tanh": lambda z, _: functional.gelu(z, approximate="tanh"),
    "hardshrink": functional.hardshrink,
    "hardsigmoid": lambda z, _: functional.hardsigmoid(z),
    "hardswish": lambda z, _: functional.hardswish(z),
    "hardtanh": lambda z, _: functional.hardtanh(z),
    "logsigmoid": lambda z, _: functional.logsigmoid(z),
    "mish": lambda z, _: functional.mish(z),
    "relu6": lambda z, _: functional.relu6(z),
    "silu": lambda z, _: functional.silu(z),
    "softplus": lambda z, beta: functional.softplus(z, beta, threshold=1000),
    "softshrink": functional.softshrink,
    "softsign": lambda z, _: functional.softsign(z),
    "tanhshrink": lambda z, _: functional.tanhshrink(z),
}
DEFAULTS = {"leaky_relu": 0.01, "celu": 1, "elu": 1, "hardshrink": 0.5, "softplus": 1, "softshrink": 0.5}
KINKS = {"hardsigmoid": [3], "hardswish": [3], "hardtanh": [1], "relu6": [6], "hardshrink": [0.5], "softshrink": [0.5]}
TORCH = ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]


def moments(name, param, deviation=1.0):
    """E[f(z)²] and E[f′(z)²] for z ~ N(0, deviation²)."""
    inner = [0, *KINKS.get(name, [])] + [2.0**k for k in range(-4, 7)]
    ends = sorted({sign * end / deviation for end in inner for sign in (-1, 1)} | set(numpy.arange(-14, 14.25, 0.25)))
    ends = numpy.array([end for end in ends if abs(end) <= 14])
    middle, half = (ends[1:] + ends[:-1]) / 2, (ends[1:] - ends[:-1]) / 2
    z = (middle[:, None] + half[:, None] * NODES).ravel()
    weights = (half[:, None] * WEIGHTS).ravel() * numpy.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    y = torch.tensor(z * deviation, requires_grad=True)
    value = ACTIVATIONS[name](y, param)
    (slope,) = torch.autograd.grad(value.sum(), y)
    return float(weights @ value.detach().numpy() ** 2), float(weights @ slope.numpy() ** 2)


def gain(stack):
    name, param = stack["nonlinearity"], stack["param"]
    if "gain" in stack:
        return stack["gain"]
    if not stack["method"].startswith("kaiming"):
        return 1.0
    return torch.nn.init.calculate_gain(name, param) if name in TORCH else 1 / math.sqrt(moments(name, param)[0])


def make(stack, weight):
    """Fills a weight and returns the theoretical standard deviation of its elements."""
    fan_out, fan_in = weight.shape
    init, method = torch.nn.init, stack["method"]
    if method.startswith("kaiming"):
        std = gain(stack) / math.sqrt(fan_in if stack.get("mode", "fan_in") == "fan_in" else fan_out)
        if method == "kaiming_normal":
            weight.normal_(0, std)
        else:
            weight.uniform_(-math.sqrt(3.0) * std, math.sqrt(3.0) * std)
        return std
    if method.startswith("xavier"):
        getattr(init, method + "_")(weight, gain=gain(stack))
        return gain(stack) * math.sqrt(2 / (fan_in + fan_out))
    if method == "normal":
        init.normal_(weight, std=stack["std"])
        return stack["std"]
    if method == "uniform":
        init.uniform_(weight, stack["a"], stack["b"])
        return stack["b"] / math.sqrt(3)
    if method == "trunc_normal":
        init.trunc_normal_(weight, std=stack["std"], a=stack["a"], b=stack["b"])
        x = numpy.linspace(stack["a"], stack["b"], 2_000_001)
        density = numpy.exp(-((x / stack["std"]) ** 2) / 2)
        return math.sqrt(numpy.trapezoid(x * x * density, x) / numpy.trapezoid(density, x))
    if method == "sparse":
        init.sparse_(weight, stack["sparsity"], stack["std"])
        return stack["std"] * math.sqrt(1 - math.ceil(stack["sparsity"] * fan_out) / fan_out)
    assert method == "orthogonal"
    init.orthogonal_(weight, gain(stack))
    return gain(stack) / math.sqrt(max(fan_in, fan_out))


def geometric(stack):
    depth, first, last = stack["depth"], stack["width_in"], stack["width_out"]
    inner = [max(1, math.floor(first * (last / first) ** (layer / depth) + 0.5)) for layer in range(1, depth)]
    return [first, *inner, last]


def run(stack, widths, seed):
    """Mean squares of activations and gradients in one run, and the weights' standard deviations."""
    name, param = stack["nonlinearity"], stack["param"]
    torch.manual_seed(seed)
    x = torch.empty(widths[0]).normal_()
    pairs = list(zip(widths, widths[1:]))
    weights = [torch.empty(fan_out, fan_in) for fan_in, fan_out in pairs]
    stds = [make(stack, weight) for weight in weights]
    gradient = torch.empty(widths[-1]).normal_()
    outputs = [x.double().requires_grad_()]
    for weight in weights:
        output = ACTIVATIONS[name](weight.double() @ outputs[-1], param)
        output.retain_grad()
        outputs.append(output)
    outputs[-1].backward(gradient.double())
    forward = [float(output.detach().square().mean()) for output in outputs[1:]]
    backward = [float(output.grad.square().mean()) for output in outputs[:-1]]
    return numpy.array(forward), numpy.array(backward), stds


def theory(stack, widths, stds):
    name, param = stack["nonlinearity"], stack["param"]
    forward, slopes, activations = [], [], 1.0
    for fan_in, std in zip(widths, stds):
        activations, slope = moments(name, param, math.sqrt(fan_in * std * std * activations))
        forward.append(activations)
        slopes.append(slope)
    backward, gradients = [], 1.0
    for fan_out, std, slope in reversed(list(zip(widths[1:], stds, slopes))):
        gradients *= fan_out * std * std * slope
        backward.insert(0, gradients)
    return {"forward": forward, "backward": backward}


def tolerance(stack):
    """Allowed relative differences: of slopes and values that depend on them, and of measurements."""
    # PyTorch's slope of hardsigmoid is 1/6 rounded to float32, in every type.
    slope = 1e-6 if stack["nonlinearity"] == "hardsigmoid" else 1e-9
    # PyTorch's QR decomposition depends on the processor.
    return {"slope": slope, "measured": 1e-3 if stack["method"] == "orthogonal" else slope}


def vector(query):
    stack = {"depth": 16, "width_in": 512, "width_out": 128, "nonlinearity": "relu", "method": "kaiming_normal"}
    stack |= {"seed": 0, "runs": 8} | query
    stack["param"] = query.get("param", DEFAULTS.get(stack["nonlinearity"], 0))
    widths = geometric(stack)
    runs = [run(stack, widths, stack["seed"] + index) for index in range(stack["runs"])]
    value, derivative = moments(stack["nonlinearity"], stack["param"])
    return {
        "request": query,
        "widths": widths,
        "std": runs[0][2],
        "moments": {"value": value, "derivative": derivative},
        "tolerance": tolerance(stack),
        "theory": theory(stack, widths, runs[0][2]),
        "measured": {
            "forward": list(sum(forward for forward, _, _ in runs) / len(runs)),
            "backward": list(sum(backward for _, backward, _ in runs) / len(runs)),
        },
    }


def requests():
    yield {}
    small = {"depth": 5, "width_in": 48, "width_out": 6, "runs": 3}
    for index, name in enumerate(ACTIVATIONS):
        yield small | {"nonlinearity": name, "seed": index, "mode": ["fan_in", "fan_out"][index % 2]}
    yield small | {"nonlinearity": "leaky_relu", "param": 0.3, "method": "kaiming_uniform"}
    yield small | {"nonlinearity": "elu", "param": 0.5, "seed": -3}
    yield small | {"nonlinearity": "tanh", "method": "kaiming_uniform", "mode": "fan_out", "seed": 2**32 - 2}
    yield small | {"method": "kaiming_normal", "gain": 1.0, "depth": 1}
    yield small | {"method": "xavier_uniform", "width_out": 300}
    yield small | {"method": "xavier_normal", "gain": 2.5, "nonlinearity": "tanh"}
    yield small | {"method": "normal", "std": 0.05, "nonlinearity": "sigmoid"}
    yield small | {"method": "normal", "std": 2.0, "nonlinearity": "softsign", "depth": 3}
    yield small | {"method": "uniform", "a": -0.2, "b": 0.2, "nonlinearity": "linear"}
    yield small | {"method": "trunc_normal", "std": 0.1, "a": -0.15, "b": 0.15}
    yield small | {"method": "trunc_normal", "std": 0.1, "a": -0.01, "b": 0.01}
    yield small | {"method": "sparse", "sparsity": 0.4, "std": 0.3}
    yield small | {"method": "orthogonal", "gain": 1.5, "nonlinearity": "tanh"}
    # Matrices so large that a read makes several rounds before it gives the first element.
    large = {"depth": 4, "width_out": 512, "runs": 2, "method": "trunc_normal"}
    yield large | {"std": 0.06, "a": -0.1, "b": 0.1}
    yield large | {"std": 0.1, "a": -0.05, "b": 0.05}
    yield {"depth": 3, "width_in": 1, "width_out": 1, "runs": 40}
    yield {"depth": 2, "width_in": 70000, "width_out": 3, "runs": 1}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for query in requests():
        print(json.dumps(vector(query)))
