"""Compares the exporter with constructors: each request is interpreted under seeds that the exporter did not use."""

from __future__ import annotations

import functools
import json
import math
import random
import warnings
from typing import Any, Callable

import numpy as np
import pytest
import torch
from stand_in import StandIn
from torch import nn

import weight_init
from weight_init.tracing import compare, named_state


class Reinitialised(nn.Module):
    """Draws that are overwritten, as in torchvision."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.bn = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 5)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.conv.bias)


class Padded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4, padding_idx=2)


class ForgetGate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 5)
        with torch.no_grad():
            self.lstm.bias_hh_l0[5:10].fill_(1.0)
            for gate in range(4):
                nn.init.orthogonal_(self.lstm.weight_hh_l0[gate * 5:gate * 5 + 5], gain=0.5)


class Scaled(nn.Module):
    """Arithmetic in place and out of place."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(4, 20) * 0.02)
        self.b = nn.Parameter((torch.rand(30) - 0.5) / 7)
        self.c = nn.Parameter(1 - torch.rand(5).mul_(3))
        self.d = nn.Parameter(-torch.randn(6).clamp(-0.5, 0.5))
        self.e = nn.Parameter(2.5 * torch.ones(3) * 2)


class TimmTruncated(nn.Module):
    """timm's own trunc_normal_."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(6, 9))
        low = (1 + math.erf(-2 / math.sqrt(2.0))) / 2
        with torch.no_grad():
            self.weight.uniform_(2 * low - 1, 2 * (1 - low) - 1).erfinv_().mul_(0.02 * math.sqrt(2.0)).add_(0.0).clamp_(-2, 2)


class Truncated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dropped = nn.Linear(5, 3)
        nn.init.trunc_normal_(self.dropped.weight)
        del self.dropped
        self.kept = nn.Parameter(nn.init.trunc_normal_(torch.empty(9), std=0.1))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, 4)
        self.head = nn.Linear(4, 11, bias=False)
        self.head.weight = self.tokens.weight
        self.again = self.tokens


class Copies(nn.Module):
    """deepcopy of layers, as nn.TransformerEncoder does."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 3)


class Parts(nn.Module):
    """Parameters that are parts of one draw, one of them with its own memory."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = torch.randn(12, 4).chunk(3)
        self.first = nn.Parameter(first.clone())
        self.second = nn.Parameter(second)
        self.third = nn.Parameter(third)


class Joined(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.cat([torch.zeros(2, 3), torch.randn(4, 3), torch.full((1, 3), 7.0)]))
        self.columns = nn.Parameter(torch.cat([torch.rand(2, 3), torch.zeros(2, 1)], dim=1))


class Buffers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.outer(torch.arange(4.0), torch.arange(3.0)).cos())
        self.register_buffer("positions", torch.arange(12).reshape(1, -1), persistent=False)
        self.register_buffer("even", torch.arange(0, 20, 2, dtype=torch.int32))
        self.register_buffer("mask", torch.ones(3, 3, dtype=torch.bool).tril())
        self.register_buffer("never", torch.full((2, 2), -math.inf))
        self.register_buffer("halves", torch.tensor([1.5, -0.0], dtype=torch.float16))
        self.register_buffer("negative_zero", torch.tensor([-0.0, -0.0]))
        self.register_buffer("nothing", torch.empty(0, 4))
        self.register_buffer("same", torch.arange(40.0).sqrt())
        self.register_buffer("same_again", torch.arange(40.0).sqrt())
        self.register_buffer("absent", None)
        self.register_buffer("drawn", torch.randn(3), persistent=False)


class Rotations(nn.Module):
    """Complex tables outside the state dict, as in Llama 4, one of them twice."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3))
        angles = torch.outer(torch.arange(5.0), torch.arange(1.0, 4.0))
        self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles), persistent=False)
        self.register_buffer("doubles", torch.view_as_complex(torch.stack([angles.double(), -angles.double()], dim=-1)), persistent=False)
        self.register_buffer("part", self.turns[1:3], persistent=False)
        self.register_buffer("same", self.turns, persistent=False)
        self.register_buffer("number", torch.tensor(1 - 2j), persistent=False)


class HalfWritten(nn.Module):
    """Zeros with drawn rows, and memory that is written piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.zeros(6, 4)
        weight[1:3].normal_()
        self.weight = nn.Parameter(weight)
        pieces = torch.empty(8)
        pieces[:3].uniform_(-1, 1)
        pieces[3:].fill_(2)
        self.pieces = nn.Parameter(pieces)


class SmallNormals(nn.Module):
    """Normals of fewer than 16 elements share a cached sample, also with discarded ones."""

    def __init__(self) -> None:
        super().__init__()
        torch.randn(3)
        self.a = nn.Parameter(torch.randn(5))
        torch.randn(4)
        torch.randn(20)
        self.b = nn.Parameter(torch.randn(1))
        torch.randperm(9)
        torch.empty(2, 17).normal_()
        torch.empty(9, dtype=torch.float64).uniform_()
        torch.empty(33, dtype=torch.bfloat16).normal_()
        self.c = nn.Parameter(torch.rand(2))


class Halves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(20, 7, dtype=torch.bfloat16)
        self.scale = nn.Parameter(torch.randn(40, dtype=torch.float16).mul_(0.3).add_(0.1))
        self.doubles = nn.Parameter(torch.randn(17, dtype=torch.float64) / 3)
        self.cast = nn.Parameter(torch.randn(18).to(torch.bfloat16))


class Overwritten(nn.Module):
    """A draw into which constants are copied, and a draw that is zeroed at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Conv2d(2, 4, 3)
        with torch.no_grad():
            self.kernel.weight[1, :, 1].copy_(torch.tensor([1.0, 2.0, 3.0]))
            self.kernel.weight[2, 1, 2, 0] = 5
            self.kernel.bias.zero_()


class ReadsConstants(nn.Module):
    """A constructor whose branches depend on values that do not depend on the seed."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(2, 1 + int(rate * 10)) for rate in torch.linspace(0, 0.2, 3).tolist() if rate >= torch.zeros(()).item()
        )
        self.register_buffer("counted", torch.from_numpy(np.arange(6, dtype=np.float32) ** 2))
        self.register_buffer("chosen", torch.tensor([3, 0, 5, 0]).nonzero().flatten())


class Sparse(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.sparse_(torch.empty(6, 5), 0.4))
        nn.init.sparse_(torch.empty(5, 6), 0.4)
        nn.init.orthogonal_(torch.empty(5, 3))
        self.last = nn.Parameter(torch.randn(3))


class Normed(nn.Module):
    """weight_norm over all dimensions but the first, as in vocoders, the last, as in wav2vec 2.0, and all."""

    def __init__(self) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.weight_norm
        self.first = norm(nn.Conv1d(3, 4, 5))
        self.last = norm(nn.Conv1d(6, 9, 4), dim=2)
        self.linear = norm(nn.Linear(20, 7, bias=False))
        self.column = norm(nn.Linear(1, 7))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.old = nn.utils.weight_norm(nn.ConvTranspose1d(2, 3, 4))
            self.all = nn.utils.weight_norm(nn.Linear(3, 3), dim=None)


MODELS: list[Callable[[], nn.Module]] = [
    lambda: nn.Linear(3, 4),
    lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 2)),
    lambda: nn.MultiheadAttention(8, 2, kdim=3, vdim=5, add_bias_kv=True),
    lambda: nn.GRU(3, 4, num_layers=2, bidirectional=True),
    Reinitialised, Padded, ForgetGate, Scaled, TimmTruncated, Truncated, Tied, Copies, Parts, Joined, Buffers, Rotations, HalfWritten,
    SmallNormals, Halves, Overwritten, ReadsConstants, Sparse, Normed,
]
IDS = ["linear", "sequential", "attention", "gru", *(model.__name__ for model in MODELS[4:])]


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("build", MODELS, ids=IDS)
def test_requests_make_what_constructors_make_under_any_seed(build: Callable[[], nn.Module], device: str) -> None:
    request = weight_init.trace(build, device=device)
    for seed in (0, 42, 2**32 - 1):
        compare(request, build, seed)
    torch.manual_seed(0)
    names = [name for name, _ in named_state(build())]
    ties = request.get("tie", {})
    assert [e["name"] for e in request["tensors"] if not e["name"].startswith("scratch.")] == [n for n in names if n not in ties]


@pytest.mark.parametrize("build", MODELS, ids=IDS)
def test_recording_without_memory_gives_the_same_request(build: Callable[[], nn.Module]) -> None:
    assert weight_init.trace(build, device="meta") == weight_init.trace(build)


#: Tensors made before any recording.
EARLIER = (torch.zeros(40), torch.zeros(6))


class Earlier(nn.Module):
    """Tensors that the constructor writes but did not make."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn, self.constant = (nn.Parameter(tensor) for tensor in EARLIER)
        nn.init.normal_(self.drawn)
        nn.init.ones_(self.constant)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_tensors_that_were_there_before_are_drawn_anew(device: str) -> None:
    for tensor in EARLIER:
        tensor.zero_()
    request = weight_init.trace(Earlier, device=device)
    assert [(entry["name"], entry["method"]) for entry in request["tensors"]] == [("drawn", "normal"), ("constant", "ones")]
    assert "steps" not in request


def test_the_order_is_that_of_the_state_dict() -> None:
    request = weight_init.trace(Buffers)
    persistent = [entry["name"] for entry in request["tensors"] if entry.get("persistent", True)]
    assert persistent == list(Buffers().state_dict())


def entries(request: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: {k: v for k, v in entry.items() if k != "name"} for entry in request["tensors"]}


def test_a_constructor_without_overwriting_needs_no_steps() -> None:
    request = weight_init.trace(lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)))
    assert "steps" not in request
    assert all(entry["method"] == "uniform" for entry in request["tensors"])


def test_draws_that_nobody_reads_become_one_discard() -> None:
    request = weight_init.trace(Reinitialised)
    drawn = 8 * 3 * 9 + 8
    assert request["steps"][0] == {"method": "uniform", "shape": [drawn]}
    assert [step.get("tensor") for step in request["steps"][1:]] == ["fc.weight", "fc.bias", "conv.weight"]
    assert entries(request)["conv.bias"] == {"shape": [8], "method": "zeros"}


def test_literals_are_short() -> None:
    made = entries(weight_init.trace(Buffers))
    assert made["positions"] == {"shape": [1, 12], "dtype": "int64", "method": "arange", "persistent": False}
    assert made["even"] == {"shape": [10], "dtype": "int32", "method": "arange", "step": 2}
    assert made["never"] == {"shape": [2, 2], "method": "constant", "value": "-inf"}
    assert made["negative_zero"] == {"shape": [2], "method": "constant", "value": -0.0}
    assert math.copysign(1, made["negative_zero"]["value"]) == -1
    assert made["mask"]["method"] == "data"
    assert "method" not in made["same_again"]


def test_an_out_of_place_chain_is_done_on_the_parameter_itself() -> None:
    request = weight_init.trace(Scaled)
    assert not any(entry["name"].startswith("scratch.") for entry in request["tensors"])
    assert not any(step["method"] == "copy" for step in request["steps"])


def test_copies_of_a_layer_are_copied_from_one_of_them() -> None:
    request = weight_init.trace(Copies)
    copies = [step for step in request["steps"] if step["method"] == "copy"]
    assert {step["from"].split(".")[2] for step in copies} == {"2"}
    assert not any(entry["name"].startswith("scratch.") for entry in request["tensors"])


def test_complex_buffers_outside_the_state_dict_are_pairs_of_numbers() -> None:
    request = weight_init.trace(Rotations)
    assert {name: (entry["shape"], entry.get("dtype"), entry.get("persistent")) for name, entry in entries(request).items()} == {
        "weight": ([3], None, None), "turns": ([5, 3, 2], None, False), "doubles": ([5, 3, 2], "float64", False),
        "part": ([2, 3, 2], None, False), "number": ([2], None, False),
    }
    assert request["tie"] == {"same": "turns"}


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_complex_buffers_of_a_module_are_filled_from_pairs(service: StandIn, device: str) -> None:
    torch.manual_seed(3)
    expected = Rotations()
    with torch.device(device):
        module = Rotations()
    if device == "cpu":
        module.turns.zero_()
    weight_init.Client(service.url).load_(module, weight_init.trace(Rotations), seed=3)
    for (name, tensor), (_, held) in zip(expected.named_buffers(), module.named_buffers(), strict=True):
        assert held.dtype == tensor.dtype and held.dtype.is_complex and torch.equal(held, tensor), name
    assert torch.equal(module.weight, expected.weight)


def test_shared_parameters_are_tied() -> None:
    assert weight_init.trace(Tied)["tie"] == {"head.weight": "tokens.weight", "again.weight": "tokens.weight"}


def test_tracing_leaves_the_generators_and_torch_as_they_were() -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    expected = torch.rand(1), np.random.rand(), random.random()
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    code, numpy = nn.init.orthogonal_.__code__, torch.Tensor.numpy
    weight_init.trace(Sparse)
    assert (torch.rand(1), np.random.rand(), random.random()) == expected
    assert nn.init.orthogonal_.__code__ is code and torch.Tensor.numpy is numpy
    assert not [name for name in vars(nn.init) if name.startswith("_weight_init")]


def test_functions_that_were_imported_before_are_recorded_too() -> None:
    from torch.nn.init import orthogonal_, trunc_normal_

    def build() -> nn.Module:
        layer = nn.Linear(4, 4)
        orthogonal_(layer.weight)
        trunc_normal_(layer.bias, a=-1)
        return layer

    assert [s["method"] for s in weight_init.trace(build)["steps"]] == ["uniform", "orthogonal", "trunc_normal"]


def test_what_was_made_by_and_progress() -> None:
    lines: list[str] = []
    request = weight_init.trace(lambda: nn.Linear(1, 1), progress=lines.append)
    assert f"torch {torch.__version__}" in request["description"]
    assert lines
    assert weight_init.trace(lambda: nn.Linear(1, 1), description="mine")["description"] == "mine"


def test_requests_hold_an_entry_a_line() -> None:
    request = weight_init.trace(Tied)
    text = weight_init.dumps(request)
    assert sum(line.startswith('{"name":') for line in text.splitlines()) == len(request["tensors"])
    assert " " not in text.partition('"tensors"')[2]
    assert json.loads(text) == request


# Refusals


class OwnGenerator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(4).normal_(generator=torch.Generator().manual_seed(1)))


class PythonRandom(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([random.random(), 1.0]))


class NumPyRandom(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(np.random.rand(3)))


class Decides(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4))
        if self.weight[0].item() > 100:
            self.weight.data.zero_()


class Lists(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(torch.rand(4).tolist()))


class ThroughNumPy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(np.sort(torch.rand(4).numpy())))


class Uninitialised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kept = nn.Linear(2, 2)
        self.weight = nn.Parameter(torch.empty(3, 3))


class PartlyUninitialised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(3, 3))
        with torch.no_grad():
            self.weight[:2].normal_()


class FromUninitialised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(3) * 2)


class Logarithm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.rand(4).log())


class MiddleNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 4, 5), dim=1)


class OneNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(4, 3).norm(1, dim=1))


class Product(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(3) * torch.arange(3.0))


class Transposed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 20).t())


class Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("waves", torch.zeros(3, dtype=torch.complex64))


class DrawnComplex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("noise", torch.randn(3, dtype=torch.complex64), persistent=False)


class Reseeds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.weight = nn.Parameter(torch.randn(3))


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.LazyLinear(3)


@pytest.mark.parametrize(
    ("build", "tensor", "words"),
    [
        (OwnGenerator, "weight", "generator of its own"),
        (PythonRandom, "weight", "Python's random module"),
        (NumPyRandom, "weight", "numpy.random"),
        (Decides, None, "item"),
        (Lists, None, "tolist"),
        (ThroughNumPy, None, "numpy"),
        (Uninitialised, "weight", "never writes"),
        (PartlyUninitialised, "weight", "never writes"),
        (FromUninitialised, "weight", "never writes"),
        (Logarithm, "bias", "aten.log"),
        (MiddleNorm, "conv.parametrizations.weight.original0", "no block"),
        (OneNorm, "scale", "no Euclidean norm"),
        (Product, "weight", "aten.mul"),
        (Transposed, "weight", "order of memory"),
        (Complex, "waves", "complex64"),
        (DrawnComplex, "noise", "complex64"),
        (Reseeds, None, "torch.manual_seed"),
        (Lazy, "linear.weight", "lazy"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_no_request_can_make_is_refused_by_tensor_and_operation(
    build: Callable[[], nn.Module], tensor: str | None, words: str
) -> None:
    with pytest.raises(weight_init.TraceError, match=words) as raised:
        weight_init.trace(build)
    assert raised.value.tensor == tensor


def test_refusals_name_the_line_of_the_constructor() -> None:
    with pytest.raises(weight_init.TraceError, match=r"test_trace\.py:\d+"):
        weight_init.trace(Logarithm)


def test_what_is_no_module_and_no_device_is_refused() -> None:
    with pytest.raises(weight_init.TraceError, match="not a torch.nn.Module"):
        weight_init.trace(lambda: 3)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="'cuda'"):
        weight_init.trace(lambda: nn.Linear(1, 1), device="cuda")


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (nn.Linear(2, 3), r"^build is a module, a Linear: pass the class, .* lambda: Linear\(\.\.\.\); weight_init.describe\(module\)"),
        ("torchvision.models:resnet50", "^build is the text 'torchvision.models:resnet50': pass the class or the function itself"),
        ({}, r"^build is \{\}: pass a class"),
        (nn.Linear, r"missing 2 required positional arguments: .*; pass a function, such as lambda: Linear\(\.\.\.\)$"),
        (functools.partial(nn.Linear, 2), r"missing 1 required positional argument: .*; pass a function"),
    ],
    ids=["module", "text", "dict", "class with arguments", "partial"],
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_is_no_constructor_without_arguments_is_refused(build: Any, words: str, device: str) -> None:
    with pytest.raises(weight_init.TraceError, match=words):
        weight_init.trace(build, device=device)


def test_a_type_error_of_the_constructor_is_its_own() -> None:
    with pytest.raises(TypeError, match="missing 2 required positional arguments"):
        weight_init.trace(lambda: nn.Linear())  # type: ignore[call-arg]


def test_a_randomness_that_makes_no_weight_is_none_of_our_business() -> None:
    def build() -> nn.Module:
        random.random()
        np.random.rand()
        return nn.Linear(2, 2)

    weight_init.trace(build)


# describe


def test_describe_initialises_a_module_that_stands_anew() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    request = weight_init.describe(module)
    before = [parameter.clone() for parameter in module.parameters()]

    def reset() -> nn.Module:
        for part in module:
            part.reset_parameters()
        return module

    compare(request, reset, 5)
    assert not torch.equal(before[0], module[0].weight)


def test_describe_refuses_what_no_layer_resets() -> None:
    with pytest.raises(weight_init.TraceError, match="^a: no submodule resets it"):
        weight_init.describe(Scaled())
