#!/usr/bin/env python3
"""Writes rules.jsonl and per_tensor.jsonl: requests for layers, models and lists of tensors, and PyTorch's results.

Each line is {"id", "request": a body of POST /init, "tensors": [{name, shape, dtype, sha256}], "next_random31"}:
tensors in state_dict order, digests of their little-endian bytes, and the low 31 bits of the generator's next word.
Each request of REQUESTS tests the one thing that is its id; the random ones mix all of them. If every tensor has its
own generator, there is no next word.
"""
import json
import pathlib
import random

from torch_requests import DTYPES, described, random_layer, random_seed, require_profile, tensors

SEED = 2718
RANDOM_REQUESTS = 24


def linear(inputs, outputs, **members):
    return {"type": "Linear", "in_features": inputs, "out_features": outputs} | members


def embedding(count, width, **members):
    return {"type": "Embedding", "num_embeddings": count, "embedding_dim": width} | members


def conv(inputs, outputs, size, **members):
    return {"type": "Conv2d", "in_channels": inputs, "out_channels": outputs, "kernel_size": size} | members


def norm(count, **members):
    return {"type": "BatchNorm2d", "num_features": count} | members


def attention(width, heads, **members):
    return {"type": "MultiheadAttention", "embed_dim": width, "num_heads": heads} | members


def coder_layer(kind, width, heads, **members):
    return {"type": f"Transformer{kind}Layer", "d_model": width, "nhead": heads, "dim_feedforward": 3 * width} | members


def parameter(name, *shape, **members):
    return {"name": name, "type": "Parameter", "shape": list(shape)} | members


SMALL_NORMAL = {"method": "normal", "std": 0.5}
ENCODER = {"type": "TransformerEncoder", "num_layers": 3, "encoder_layer": coder_layer("Encoder", 6, 2),
           "norm": {"type": "LayerNorm", "normalized_shape": 6}}
DECODER = {"type": "TransformerDecoder", "num_layers": 2, "decoder_layer": coder_layer("Decoder", 4, 1, bias=False)}
BLOCK = {"layers": [linear(4, 3, name="in"), {"type": "ReLU"}, linear(3, 4, name="out")]}

REQUESTS = {
    # forms
    "a layer alone has unprefixed names": {"seed": 1, "layer": linear(7, 5)},
    "a composite layer alone": {"seed": 2, "dtype": "float64", "layer": attention(6, 2, add_bias_kv=True, vdim=3)},
    "a layer alone with rules": {"seed": 3, "layer": {"type": "GRU", "input_size": 3, "hidden_size": 2, "num_layers": 2},
        "rules": [{"parameter": "weight_hh*", "method": "xavier_normal"},
                  {"parameter": "bias_ih_l1", "method": "ones"}]},
    "names default to the index, also after layers without parameters": {"seed": "18446744073709551615", "layers": [
        {"type": "Flatten"}, linear(5, 4), {"type": "ReLU"}, {"type": "Dropout", "p": 0.3}, linear(4, 2),
        {"type": "Softmax", "dim": 1}]},
    "tensors of every method on one generator": {"seed": -5, "tensors": [
        {"name": "a", "shape": [3], "method": "normal"},
        {"name": "b", "shape": [2, 9], "method": "uniform", "a": -1, "b": 2},
        {"name": "c.d", "shape": [], "method": "normal", "mean": 1, "std": 3, "dtype": "float16"},
        {"shape": [4, 5], "method": "sparse", "sparsity": 0.4},
        {"name": "e", "shape": [31], "method": "trunc_normal", "std": 2, "dtype": "bfloat16"},
        {"name": "f", "shape": [6], "method": "trunc_normal", "a": 1.5, "b": 1.75, "dtype": "float64"},
        {"name": "g", "shape": [3, 5], "method": "xavier_uniform", "gain": {"nonlinearity": "tanh"}},
        {"name": "h", "shape": [5, 1], "method": "xavier_normal", "gain": {"nonlinearity": "leaky_relu", "param": 0.2}},
        {"name": "i", "shape": [2, 3, 3], "method": "kaiming_uniform", "a": 0.2, "mode": "fan_out"},
        {"name": "j", "shape": [3, 3], "method": "kaiming_normal", "nonlinearity": "selu", "dtype": "bfloat16"},
        {"name": "k", "shape": [2, 2], "method": "eye"}, {"name": "l", "shape": [4, 2, 3], "method": "dirac", "groups": 2},
        {"name": "m", "shape": [2], "method": "constant", "value": 0.3, "dtype": "float16"},
        {"name": "n", "shape": [0, 3], "method": "normal"}, {"name": "o", "shape": [2], "method": "ones"},
        {"name": "p", "shape": [2], "method": "zeros"}, {"name": "q", "shape": [], "method": "normal"}]},
    "blocks, repeated and nested": {"seed": 6, "layers": [
        linear(3, 4, name="stem"), {"name": "h", "repeat": 2, "layers": [
            {"name": "norm", "type": "LayerNorm", "normalized_shape": 4}, {"name": "mlp", "repeat": 2, **BLOCK}]},
        {"name": "block_{}", "repeat": 3, **BLOCK}, {"repeat": 2, **BLOCK}, linear(4, 2, name="tail", repeat=2)]},
    "one dtype per layer": {"seed": 7, "layers": [
        linear(3, 5, dtype="float64"), linear(3, 5, dtype="bfloat16"), embedding(2, 3, dtype="float16"), linear(3, 5)],
        "rules": [{"name": "*.weight", "method": "normal"}]},
    "a block's dtype is its layers'": {"seed": 8, "dtype": "float16", "layers": [
        {"name": "a", "dtype": "float64", "layers": [embedding(3, 3), embedding(3, 3, dtype="bfloat16"),
                                                     parameter("p", 2, 2, method="normal")]},
        embedding(3, 3), {"dtype": "float64", **ENCODER}]},
    # rules
    "by type": {"seed": 11, "layers": [conv(3, 4, 3, name="c"), norm(4, name="n"), linear(16, 5, name="l")], "rules": [
        {"type": "Conv2d", "parameter": "weight", "method": "kaiming_normal", "mode": "fan_out", "nonlinearity": "relu"},
        {"type": "BatchNorm2d", "parameter": "weight", "method": "normal", "mean": 1.0, "std": 0.02},
        {"type": "Linear", "method": "uniform", "a": -0.05, "b": 0.05}]},
    "a transposed convolution is no convolution": {"seed": 12, "layers": [conv(2, 4, 3, name="c", groups=2),
        {"name": "t", "type": "ConvTranspose2d", "in_channels": 4, "out_channels": 6, "kernel_size": [2, 3], "groups": 2}],
        "rules": [{"type": "Conv2d", "method": "constant", "value": 0.25},
                  {"type": "ConvTranspose2d", "parameter": "weight", "method": "kaiming_uniform"}]},
    "attention's out_proj is a Linear": {"seed": 13, "layers": [attention(4, 2, name="a"), linear(4, 2, name="l")],
        "rules": [{"type": "Linear", "parameter": "weight", "method": "normal", "std": 0.02},
                  {"type": "MultiheadAttention", "parameter": "in_proj_weight", "method": "xavier_normal"}]},
    "attention's own parameters come before out_proj's": {"seed": 14, "dtype": "float64", "layers": [
        attention(3, 1, name="a", add_bias_kv=True, kdim=5)], "rules": [SMALL_NORMAL]},
    "the first rule that matches wins": {"seed": 15, "layers": [linear(4, 4, name="a"), linear(4, 4, name="b")], "rules": [
        {"name": "a.weight", "method": "eye"}, {"type": "Linear", "parameter": "weight", "method": "uniform"},
        {"method": "constant", "value": -1}]},
    "a rule may keep what is there": {"seed": 16, "layers": [
        linear(3, 3, name="a"), linear(3, 3, name="b"), norm(3, name="n")],
        "rules": [{"name": "b.*", "method": "skip"}, {"type": "BatchNorm2d", "method": "skip"}, SMALL_NORMAL]},
    "stars cross dots": {"seed": 17, "layers": [{"name": "h", "repeat": 2, **BLOCK}, linear(4, 4, name="out")], "rules": [
        {"name": "h*out.weight", "method": "zeros"}, {"name": "*.1.*", "method": "ones"},
        {"name": "*eight", **SMALL_NORMAL}]},
    "passes follow one another": {"seed": 18, "layers": [{"name": "h", "repeat": 2, **BLOCK}], "rules": [
        [{"parameter": "weight", "method": "normal", "std": 0.02}, {"parameter": "bias", "method": "zeros"}],
        [{"name": "*.out.weight", "method": "normal", "std": 0.005}], [{"name": "h.1.in.*", **SMALL_NORMAL}]]},
    "small normals hand on the sample left over": {"seed": 19, "layers": [
        embedding(1, 3), linear(3, 1), embedding(5, 1), linear(5, 3), embedding(1, 1), linear(1, 1)],
        "rules": [[SMALL_NORMAL], [{"parameter": "bias", **SMALL_NORMAL}, {"type": "Linear", "method": "uniform"}]]},
    "truncated normals draw as many words as they need": {"seed": 20, "layers": [
        linear(9, 7, name="a"), linear(7, 2, name="b"), linear(2, 3, name="c")], "rules": [
        {"name": "a.weight", "method": "trunc_normal", "std": 1.5},
        {"name": "b.weight", "method": "trunc_normal", "a": 1, "b": 2},
        {"name": "*.bias", "method": "trunc_normal", "std": 0.02}, {"name": "c.weight", "method": "normal"}]},
    "methods without words and with permutations": {"seed": 21, "layers": [
        linear(6, 6, name="a"), linear(5, 6, name="b", bias=False), conv(4, 4, 3, name="c", groups=2),
        {"name": "p", "type": "PReLU"}, linear(2, 2, name="z")], "rules": [
        {"name": "a.weight", "method": "eye"}, {"name": "b.weight", "method": "sparse", "sparsity": 0.25, "std": 1.5},
        {"name": "c.weight", "method": "dirac", "groups": 2}, {"name": "c.bias", "method": "constant", "value": 0.1},
        {"type": "PReLU", "method": "constant", "value": 0.01}, {"name": "z.*", "method": "uniform"}]},
    "fan-based methods by nonlinearity": {"seed": 22, "dtype": "float64", "layers": [
        linear(5, 4), linear(4, 6), linear(6, 3), {"type": "GRU", "input_size": 3, "hidden_size": 2}], "rules": [
        {"name": "0.weight", "method": "kaiming_uniform", "nonlinearity": "tanh"},
        {"name": "1.weight", "method": "kaiming_normal", "a": 0.3, "mode": "fan_out"},
        {"name": "2.weight", "method": "xavier_uniform", "gain": {"nonlinearity": "selu"}},
        {"type": "GRU", "parameter": "weight*", "method": "xavier_normal", "gain": 0.5}]},
    "a rule fills the padding row too": {"seed": 23, "layers": [
        embedding(4, 3, padding_idx=-1), embedding(4, 3, padding_idx=1),
        {"type": "EmbeddingBag", "num_embeddings": 3, "embedding_dim": 2, "padding_idx": 0}],
        "rules": [{"name": "1.weight", **SMALL_NORMAL}]},
    "recurrent layers and cells": {"seed": 24, "layers": [
        {"type": "LSTM", "input_size": 3, "hidden_size": 4, "proj_size": 2, "bidirectional": True},
        {"type": "RNN", "input_size": 2, "hidden_size": 3, "bias": False},
        {"type": "LSTMCell", "input_size": 2, "hidden_size": 2},
        {"type": "GRUCell", "input_size": 2, "hidden_size": 3}], "rules": [
        {"parameter": "weight_hr*", "method": "uniform"}, {"type": "LSTM", "parameter": "*_reverse", **SMALL_NORMAL},
        {"type": "LSTMCell", "parameter": "bias_ih", "method": "ones"}, {"type": "RNN", "method": "kaiming_normal"}]},
    "convolutions and norms of every rank": {"seed": 25, "layers": [
        *({"type": f"{kind}{rank}d", "in_channels": 2, "out_channels": 4, "kernel_size": 2, "groups": 2}
          for kind in ("Conv", "ConvTranspose") for rank in (1, 2, 3)),
        *({"type": f"{kind}{rank}d", "num_features": 3, "affine": True} for kind in ("BatchNorm", "InstanceNorm")
          for rank in (1, 2, 3)), {"type": "GroupNorm", "num_groups": 2, "num_channels": 4},
        {"type": "RMSNorm", "normalized_shape": 5}, {"type": "LayerNorm", "normalized_shape": [2, 3], "bias": False}],
        "rules": [{"type": "Conv3d", "parameter": "weight", "method": "xavier_normal"}, {"type": "InstanceNorm2d",
                  **SMALL_NORMAL}, {"type": "RMSNorm", **SMALL_NORMAL}, {"type": "BatchNorm3d", **SMALL_NORMAL}]},
    # composite layers
    "an encoder's layers are copies": {"seed": 31, "layers": [{"name": "encoder", **ENCODER}, linear(6, 2, name="head")]},
    "rules tell an encoder's copies apart": {"seed": 32, "layers": [{"name": "encoder", **ENCODER}], "rules": [
        {"name": "*.0.self_attn.*", "method": "skip"}, {"type": "Linear", "parameter": "weight", "method": "xavier_uniform"},
        {"type": "LayerNorm", "parameter": "bias", **SMALL_NORMAL}]},
    "a decoder": {"seed": 33, "dtype": "bfloat16", "layers": [{"name": "decoder", **DECODER}],
        "rules": [{"parameter": "in_proj_weight", "method": "normal", "std": 0.02}]},
    "a transformer": {"seed": 34, "layers": [{"type": "Transformer", "d_model": 4, "nhead": 2, "num_encoder_layers": 2,
        "num_decoder_layers": 2, "dim_feedforward": 5, "batch_first": True}, linear(4, 3)],
        "rules": [{"name": "*linear?.bias", **SMALL_NORMAL}]},
    # bare parameters
    "a bare parameter is zeros": {"seed": 41, "layers": [parameter("token", 1, 1, 3), linear(3, 2, name="l")]},
    "a bare parameter is drawn in its turn": {"seed": 42, "layers": [
        parameter("token", 1, 1, 3, method="normal", std=0.02), linear(3, 2, name="l")]},
    "a block's parameters are drawn in turn and come before its layers": {"seed": 43, "layers": [linear(3, 2, name="l"), {
        "name": "b", "layers": [linear(3, 2, name="l"), parameter("q", 5, method="uniform"), linear(2, 2, name="m"),
                                parameter("r", 2, 2, dtype="float64")]}, parameter("token", 3, method="normal")],
        "rules": [{"name": "b.r", "method": "xavier_uniform"}, {"parameter": "token", **SMALL_NORMAL},
                  {"name": "b.*", "method": "uniform"}]},
    # rules of an entry
    "an entry's rules act when it has been built": {"seed": 51, "layers": [
        {"name": "h", "repeat": 2, "layers": [linear(3, 3, name="a"), {"name": "mlp", **BLOCK, "rules": [
            {"parameter": "weight", "method": "xavier_uniform"}, {"name": "in.bias", "method": "normal", "std": 1e-6}]}]},
        linear(3, 2, name="head", rules=[{"parameter": "bias", "method": "zeros"}])],
        "rules": [{"name": "*.a.weight", "method": "uniform"}]},
    "an entry's rules in passes": {"seed": 52, "layers": [
        {"name": "b_{}", "repeat": 2, **BLOCK, "rules": [[SMALL_NORMAL], [{"name": "out.*", **SMALL_NORMAL}]]},
        embedding(1, 3, name="e")]},
    # ties
    "tied tensors are one": {"seed": 61, "layers": [embedding(5, 3, name="wte"), linear(3, 5, name="head", bias=False)],
        "tie": {"head.weight": "wte.weight"}},
    "rules visit a tied tensor under each name": {"seed": 62, "layers": [
        {"name": "t", "layers": [embedding(5, 3, name="wte"), linear(3, 3, name="proj")]},
        linear(3, 5, name="head", bias=False)], "tie": {"t.wte.weight": "head.weight"}, "rules": [
            [{"type": "Embedding", **SMALL_NORMAL}, {"type": "Linear", "parameter": "weight", "method": "normal", "std": 0.02}],
            [{"name": "*.proj.weight", **SMALL_NORMAL}]]},
    "layers that share all their parameters": {"seed": 63, "layers": [{"name": "h", "repeat": 3, **BLOCK}], "tie": {
        f"h.{copy}.in.{name}": f"h.0.in.{name}" for copy in (1, 2) for name in ("weight", "bias")}},
    # without the defaults
    "without defaults only the rules draw": {"seed": 71, "defaults": False, "layers": [
        conv(2, 3, 3, name="c"), norm(3, name="n"), linear(3, 2, name="l"), {"name": "p", "type": "PReLU", "init": 0.1}],
        "rules": [{"type": "Conv2d", "parameter": "weight", "method": "kaiming_normal"},
                  {"type": "Linear", "method": "uniform"}, {"parameter": "bias", "method": "zeros"}]},
    "without defaults constants remain": {"seed": 72, "dtype": "float64", "defaults": False, "layers": [
        attention(3, 1, name="a"), embedding(2, 3, name="e", padding_idx=0), parameter("token", 2),
        {"name": "encoder", **ENCODER}],
        "rules": [{"parameter": "*weight", **SMALL_NORMAL}, {"name": "*linear?.bias", "method": "uniform"}]},
}


# Each tensor has its own generator, so that its numbers do not depend on other draws.
PER_TENSOR = {
    "layers of every way of drawing": {"seed": 42, "seeding": "per_tensor", "layers": [
        conv(3, 4, 3, name="c"), norm(4, name="n"), linear(16, 5, name="l"), embedding(7, 3, name="e", padding_idx=-2),
        {"name": "r", "type": "LSTM", "input_size": 3, "hidden_size": 4, "proj_size": 2, "bidirectional": True},
        attention(4, 2, name="a", add_bias_kv=True), linear(2, 2, name="é/~")]},
    "the effective seed counts": {"seed": -1, "seeding": "per_tensor", "layer": linear(3, 5)},
    "the last initialisation counts alone": {"seed": 7, "seeding": "per_tensor", "dtype": "bfloat16", "layers": [
        {"name": "h", "repeat": 2, **BLOCK}, embedding(5, 4, name="e", padding_idx=0), parameter("p", 20, method="normal")],
        "rules": [[SMALL_NORMAL], [{"name": "h.*", "method": "trunc_normal", "a": 0.5, "b": 1},
                                   {"name": "*", "method": "skip"}]]},
    "ties have the target's name": {"seed": 8, "seeding": "per_tensor", "layers": [
        embedding(5, 3, name="wte"), linear(3, 5, name="head", bias=False)], "tie": {"wte.weight": "head.weight"},
        "rules": [{"type": "Linear", "method": "normal", "std": 0.02}]},
    "tensors": {"seed": "18446744073709551615", "seeding": "per_tensor", "tensors": [
        {"name": "a", "shape": [3], "method": "normal"}, {"name": "b", "shape": [3], "method": "normal"},
        {"shape": [4, 5], "method": "sparse", "sparsity": 0.4, "dtype": "float64"},
        {"name": "c", "shape": [300], "method": "trunc_normal", "dtype": "float16"},
        {"name": "d", "shape": [2, 5], "method": "uniform"}]},
}


def random_rule(rng, kind, name):
    """A rule for the parameter `name`, or for layers of type `kind`."""
    own = name.rpartition(".")[2]
    rule = rng.choice([{"type": kind}, {"type": kind, "parameter": own}, {"parameter": own}, {"name": name},
                       {"parameter": own[:4] + "*"}, {"name": name.partition(".")[0] + ".*"},
                       {"name": "*" + name[-6:]}])
    method = rng.choice([
        {"method": "skip"}, {"method": "zeros"}, {"method": "constant", "value": 0.1}, {"method": "normal", "std": 0.02},
        {"method": "normal", "mean": 1.0, "std": 0.5}, {"method": "uniform", "a": -0.1, "b": 0.1},
        {"method": "trunc_normal", "std": 0.02}, {"method": "trunc_normal", "a": 0.5, "b": 1.0},
        {"method": "xavier_uniform"}, {"method": "xavier_normal", "gain": 0.7},
        {"method": "kaiming_normal", "mode": "fan_out"}, {"method": "kaiming_uniform", "a": 0.1}])
    return rule | method


def random_request(rng):
    entries = []
    for index in range(rng.randint(1, 4)):
        kind, arguments = random_layer(rng)
        entry = {"name": rng.choice(["a", "b", "fc", "conv"]) + str(index), "type": kind} | arguments
        if rng.random() < 0.2:
            entry |= {"dtype": rng.choice(DTYPES)}
        if rng.random() < 0.2:
            entry |= {"repeat": 2}
        if rng.random() < 0.3:
            entry = {"name": f"block{index}", "layers": [entry, linear(2, rng.randint(1, 9), name="proj")]}
        entries.append(entry)
    request = {"seed": random_seed(rng), "dtype": rng.choice(DTYPES), "layers": entries}
    names = list(tensors(request))
    kinds = ["Linear", "LayerNorm", *(entry["type"] for entry in entries if "type" in entry)]
    if names:
        request["rules"] = [[random_rule(rng, rng.choice(kinds), rng.choice(names)) for _ in range(rng.randint(1, 3))]
                            for _ in range(rng.randint(1, 2))]
    return request


def random_requests(count):
    """Requests that PyTorch accepts, in which each rule applies to some tensor."""
    rng, found = random.Random(SEED), {}
    while len(found) < count:
        request = random_request(rng)
        try:
            described(tensors(request))
        except (AssertionError, ValueError, ZeroDivisionError):
            continue
        if "rules" in request:
            found[f"random {len(found) + 1}"] = request
    return found


def write(file, requests, *members):
    with open(pathlib.Path(__file__).parent / file, "w") as lines:
        for identifier, request in requests.items():
            found = described(tensors(request))
            line = {"id": identifier, "request": request} | {member: found[member] for member in members}
            lines.write(json.dumps(line, allow_nan=False) + "\n")


def main():
    require_profile()
    write("rules.jsonl", REQUESTS | random_requests(RANDOM_REQUESTS), "tensors", "next_random31")
    write("per_tensor.jsonl", PER_TENSOR, "tensors")


if __name__ == "__main__":
    main()
