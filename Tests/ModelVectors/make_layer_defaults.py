#!/usr/bin/env python3
"""Writes layer_defaults.jsonl: the default arguments of the layers of torch.nn.

Each line is [type, arguments, defaults]: arguments with which the layer can be built, and the value that each further
argument has by default, as JSON. A request with a default is equal to one without it. `null` for a flag counts as
false.
"""
import inspect
import json
import pathlib

import torch

from make_layer_decisions import RECURRENT_ARGUMENTS, kinds
from torch_requests import require_profile

# Values for arguments without a default.
REQUIRED = {"num_features": 4, "in_features": 3, "out_features": 2, "in1_features": 3, "in2_features": 2,
            "in_channels": 4, "out_channels": 2, "kernel_size": 2, "num_embeddings": 5, "embedding_dim": 3,
            "num_groups": 2, "num_channels": 4, "normalized_shape": [3], "input_size": 3, "hidden_size": 2,
            "embed_dim": 4, "num_heads": 2, "d_model": 4, "nhead": 2, "num_layers": 2, "output_size": 2, "padding": 1,
            "value": 0.5, "threshold": 0.5, "dim": 1, "unflattened_size": [2, 2], "groups": 2, "upscale_factor": 2,
            "downscale_factor": 2, "size": 3, "norm_type": 2,
            "encoder_layer": {"type": "TransformerEncoderLayer", "d_model": 4, "nhead": 2, "dim_feedforward": 3},
            "decoder_layer": {"type": "TransformerDecoderLayer", "d_model": 4, "nhead": 2, "dim_feedforward": 3}}
# Layers that need one of two arguments, or arguments of other layers.
FURTHER = {"FractionalMaxPool2d": {"output_size": 2}, "FractionalMaxPool3d": {"output_size": 2},
           "Upsample": {"size": 2}, "Transformer": {"d_model": 4, "nhead": 2, "dim_feedforward": 3}}
FACTORY = {"device": None, "dtype": None}


def defaults(kind):
    """Arguments that have a default, and the defaults."""
    if kind in RECURRENT_ARGUMENTS:
        return RECURRENT_ARGUMENTS[kind] | FACTORY
    parameters = inspect.signature(getattr(torch.nn, kind)).parameters.values()
    return {parameter.name: ... if parameter.default is parameter.empty else parameter.default
            for parameter in parameters if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)}


def word(value):
    """A default as JSON: a function becomes its name, and a tuple a list."""
    return value.__name__ if callable(value) else list(value) if isinstance(value, tuple) else value


def main():
    require_profile()
    lines = []
    for kind in kinds():
        given = {name: REQUIRED[name] for name, value in defaults(kind).items() if value is ...} | FURTHER.get(kind, {})
        rest = {name: word(value) for name, value in defaults(kind).items() if name not in given}
        lines.append(json.dumps([kind, given, rest], separators=(",", ":")) + "\n")
    pathlib.Path(__file__).with_name("layer_defaults.jsonl").write_text("".join(lines))


if __name__ == "__main__":
    main()
