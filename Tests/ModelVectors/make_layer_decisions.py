#!/usr/bin/env python3
"""Writes layer_decisions.jsonl: which arguments the layers of torch.nn accept, and the resulting state dicts.

Each line is [type, arguments, state]. The state is "name:sizes" in order, or `null` if PyTorch refuses the arguments.
Arguments have the types that PyTorch documents, because requests can have no others; their values are often absurd.
"""
import argparse
import inspect
import json
import math
import pathlib
import random
import warnings

import torch

from torch_requests import make_layer, require_profile

SEED = 31415
RECURRENT = {"input_size": ..., "hidden_size": ..., "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0,
             "bidirectional": False}
# Their signatures are (*args, **kwargs).
RECURRENT_ARGUMENTS = {"RNN": RECURRENT | {"nonlinearity": "tanh"}, "LSTM": RECURRENT | {"proj_size": 0}, "GRU": RECURRENT}
# Losses, containers, and abstract base classes.
NOT_LAYERS = ("Loss", "Container", "Module", "Parameter", "Sequential", "List", "Dict", "Lazy", "Parallel", "Buffer", "Base")
# Arguments that JSON cannot express, and deprecated names.
NOT_ARGUMENTS = {"device", "dtype", "process_group", "custom_encoder", "custom_decoder", "min_value", "max_value"}
FLAGS = {"bias", "affine", "track_running_stats", "elementwise_affine", "bidirectional", "batch_first", "norm_first",
         "add_bias_kv", "add_zero_attn", "inplace", "ceil_mode", "count_include_pad", "return_indices", "keepdim",
         "scale_grad_by_freq", "sparse", "include_last_offset", "enable_nested_tensor", "mask_check",
         "recompute_scale_factor", "align_corners"}
NUMBERS = {"dropout": [0, 0.0, 0.1, 1, 1.0, 1.5, -0.1], "p": [0, 0.5, 1, 1.0, 1.25, -1], "eps": [1e-5, 0, -1.0],
           "momentum": [0.1, None, -1], "layer_norm_eps": [1e-5, 0], "init": [0.25, -1, 0, 1e39, 3.4e38],
           "max_norm": [None, 1.5, -1], "norm_type": [2, 1.5, 0], "output_ratio": [0.5, 0.7, 0, 1, 1.5]}
WORDS = {"activation": ["relu", "gelu"], "approximate": ["none", "tanh"],
         "padding_mode": ["zeros", "reflect", "replicate", "circular"]}


def signature(kind):
    """The arguments of a layer's constructor and their defaults; `...` for arguments without a default."""
    if kind in RECURRENT_ARGUMENTS:
        return RECURRENT_ARGUMENTS[kind]
    return {name: ... if parameter.default is parameter.empty else parameter.default
            for name, parameter in inspect.signature(getattr(torch.nn, kind)).parameters.items()
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
            and name not in NOT_ARGUMENTS and not name.startswith("_")}


def kinds():
    named = (name for name in dir(torch.nn) if inspect.isclass(getattr(torch.nn, name)))
    return [name for name in named if issubclass(getattr(torch.nn, name), torch.nn.Module)
            and not any(word in name for word in NOT_LAYERS)]


def value(rng, kind, name, wild):
    """A value for an argument; `wild` is the probability that an integer is one that few layers accept."""
    rank = int(kind[-2]) if kind[-1] == "d" and kind[-2].isdigit() else 1
    some = lambda: rng.choice([-2, -1, 0]) if rng.random() < wild else rng.choice([1, 2, 3, 4, 6, 8, 12])
    tuple_of = lambda count: rng.choice([some(), [some() for _ in range(count)]])
    if name in FLAGS:
        return rng.random() < 0.5
    if name in NUMBERS:
        choices = NUMBERS[name]
        return rng.choice(choices[:2]) if rng.random() > wild else rng.choice(choices)
    if name in WORDS:
        return rng.choice(WORDS[name][:1] if kind.startswith("ConvTranspose") else WORDS[name])
    if name == "nonlinearity":
        return rng.choice(["tanh", "relu"])
    if name == "mode":
        return rng.choice(["sum", "mean", "max"] if kind == "EmbeddingBag" else ["nearest", "bilinear"])
    if name in ("kdim", "vdim"):
        return rng.choice([None, some()])
    if name == "padding_idx":
        return rng.choice([None, 0, -1, some(), -some()])
    if name == "normalized_shape":
        return rng.choice([some(), [some()], [some(), some()], []])
    if name == "padding" and kind.startswith("Conv") and not kind.startswith("ConvTranspose") and rng.random() < 0.5:
        return rng.choice(["same", "valid"])
    if name in ("encoder_layer", "decoder_layer", "norm"):
        if name == "norm":
            return rng.choice([None, {"type": "LayerNorm"} | arguments(rng, "LayerNorm", wild)])
        inner = rng.choice(["TransformerEncoderLayer", "TransformerDecoderLayer", "Linear"])
        return {"type": inner} | arguments(rng, inner, wild)
    if name == "unflattened_size":
        return [some(), some()]
    if name in ("kernel_size", "stride", "dilation", "output_padding", "output_size") or name == "padding" and rank:
        return tuple_of(2 * rank if "Pad" in kind else rank)
    return some()


def arguments(rng, kind, wild):
    """Most required arguments, and some of the others."""
    names = signature(kind)
    given = {name: value(rng, kind, name, wild) for name, default in names.items()
             if (rng.random() < 0.98 if default is ... else rng.random() < 0.35)}
    if wild == 0 or rng.random() < 0.5:    # makes sizes divisible that have to be
        for whole, part in (("embed_dim", "num_heads"), ("d_model", "nhead"), ("num_channels", "num_groups")):
            if whole in given and part in given:
                given[whole] *= given[part]
        if "groups" in given and "in_channels" in given and "out_channels" in given:
            given["in_channels"] *= given["groups"]
            given["out_channels"] *= given["groups"]
    return given


def build(kind, given):
    call = {name: build(argument["type"], {key: item for key, item in argument.items() if key != "type"})
            if isinstance(argument, dict) else argument for name, argument in given.items()}
    return make_layer(kind, call, torch.float32)


def state(kind, given):
    try:
        tensors = build(kind, given).state_dict()
    except (ArithmeticError, AssertionError, IndexError, RuntimeError, TypeError, ValueError):
        return None
    return " ".join(f"{name}:{','.join(map(str, tensor.shape))}" for name, tensor in tensors.items())


def without_flags(kind, decisions):
    """Decisions with None for each flag of a layer: it counts as false unless the constructor checks the type."""
    given = next((given for _, given, state in decisions if state is not None), None)
    if given is None:
        return
    given = {name: argument for name, argument in given.items() if name not in FLAGS}
    for flag in sorted(FLAGS & set(signature(kind))):
        call = given | {flag: None}
        yield json.dumps([kind, call, state(kind, call)], separators=(",", ":")) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=40, help="argument sets for each layer with tensors")
    parser.add_argument("--output", default=pathlib.Path(__file__).parent / "layer_decisions.jsonl")
    options = parser.parse_args()
    require_profile()
    warnings.simplefilter("ignore")
    rng, lines = random.Random(SEED), []
    for kind in kinds():
        seen, bare = set(), 0
        for index in range(options.count):
            given = arguments(rng, kind, (index % 4) / 12)
            # Needlessly large sizes.
            if math.prod(abs(v) or 1 for v in given.values() if type(v) is int) > 1 << 20:
                continue
            decision = json.dumps([kind, given, state(kind, given)], separators=(",", ":"))
            bare += decision.endswith('""]')
            if decision not in seen and (bare <= 6 or not decision.endswith('""]')):
                lines.append(decision + "\n")
            seen.add(decision)
        lines += without_flags(kind, [json.loads(decision) for decision in sorted(seen)])
    pathlib.Path(options.output).write_text("".join(lines))


if __name__ == "__main__":
    main()
