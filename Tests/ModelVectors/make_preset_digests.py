#!/usr/bin/env python3
"""Writes presets.jsonl: the state dicts of the models of examples/models, written as users of PyTorch write them.

The models in this file are plain torch.nn code that does not read the requests. Afterwards torch_requests.py makes the
tensors of each request with PyTorch, which must be the same.
"""
import json
import math
import pathlib
import sys

import torch
from torch import nn

from torch_requests import described, require_profile, tensors

HERE = pathlib.Path(__file__).parent
SEED = 42


def mlp():
    model = nn.Module()
    model.fc1, model.fc2, model.fc3 = nn.Linear(784, 256), nn.Linear(256, 128), nn.Linear(128, 10)

    def initialise(module):
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight, gain=nn.init.calculate_gain("relu"))
            nn.init.zeros_(module.bias)
    return model.apply(initialise)


def lenet5():
    model = nn.Module()
    model.conv1, model.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
    model.fc1, model.fc2, model.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)
    return model


def lstm_tagger():
    model = nn.Module()
    model.embedding = nn.Embedding(10000, 128, padding_idx=0)
    model.lstm = nn.LSTM(128, 256, num_layers=2, bidirectional=True, batch_first=True, dropout=0.2)
    model.tag = nn.Linear(512, 17)
    return model


class BasicBlock(nn.Module):
    def __init__(self, inputs, planes, stride, downsample):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample


def resnet18():
    """torchvision.models.resnet18()"""
    def stage(inputs, planes, stride):
        # Built before the block that holds it, and registered after the block's convolutions.
        downsample = nn.Sequential(nn.Conv2d(inputs, planes, 1, stride, bias=False),
                                   nn.BatchNorm2d(planes)) if stride != 1 else None
        return nn.Sequential(BasicBlock(inputs, planes, stride, downsample), BasicBlock(planes, planes, 1, None))

    model = nn.Module()
    model.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
    model.bn1 = nn.BatchNorm2d(64)
    model.layer1 = stage(64, 64, 1)
    model.layer2 = stage(64, 128, 2)
    model.layer3 = stage(128, 256, 2)
    model.layer4 = stage(256, 512, 2)
    model.fc = nn.Linear(512, 1000)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.weight, 1)
            nn.init.constant_(module.bias, 0)
    return model


def gpt2_small():
    """nanoGPT's GPT with its default configuration."""
    layers, width, vocabulary, context = 12, 768, 50304, 1024

    def block():
        block = nn.Module()
        block.ln_1 = nn.LayerNorm(width)
        block.attn = nn.Module()
        block.attn.c_attn, block.attn.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        block.ln_2 = nn.LayerNorm(width)
        block.mlp = nn.Module()
        block.mlp.c_fc, block.mlp.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        return block

    def initialise(module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    model = nn.Module()
    model.transformer = nn.ModuleDict(dict(
        wte=nn.Embedding(vocabulary, width), wpe=nn.Embedding(context, width),
        h=nn.ModuleList([block() for _ in range(layers)]), ln_f=nn.LayerNorm(width)))
    model.lm_head = nn.Linear(width, vocabulary, bias=False)
    model.transformer.wte.weight = model.lm_head.weight
    model.apply(initialise)
    for name, parameter in model.named_parameters():
        if name.endswith("c_proj.weight"):
            nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * layers))
    return model


class Perceptron(nn.Sequential):
    def __init__(self, width, hidden):
        super().__init__(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(), nn.Linear(hidden, width), nn.Dropout())
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.normal_(module.bias, std=1e-6)


def vit_b16():
    """torchvision.models.vit_b_16()"""
    width, hidden, heads, patch, image = 768, 3072, 12, 16, 224

    def block():
        block = nn.Module()
        block.ln_1 = nn.LayerNorm(width, eps=1e-6)
        block.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        block.ln_2 = nn.LayerNorm(width, eps=1e-6)
        block.mlp = Perceptron(width, hidden)
        return block

    model = nn.Module()
    model.conv_proj = nn.Conv2d(3, width, patch, patch)
    model.class_token = nn.Parameter(torch.zeros(1, 1, width))
    model.encoder = nn.Module()
    model.encoder.pos_embedding = nn.Parameter(torch.empty(1, (image // patch) ** 2 + 1, width).normal_(std=0.02))
    model.encoder.layers = nn.Module()
    for index in range(12):
        model.encoder.layers.add_module(f"encoder_layer_{index}", block())
    model.encoder.ln = nn.LayerNorm(width, eps=1e-6)
    model.heads = nn.Module()
    model.heads.head = nn.Linear(width, 1000)
    nn.init.trunc_normal_(model.conv_proj.weight, std=math.sqrt(1 / (3 * patch * patch)))
    nn.init.zeros_(model.conv_proj.bias)
    nn.init.zeros_(model.heads.head.weight)
    nn.init.zeros_(model.heads.head.bias)
    return model


PRESETS = [mlp, lenet5, lstm_tagger, resnet18, gpt2_small, vit_b16]


def main():
    require_profile()
    lines, wrong = [], []
    for preset in PRESETS:
        file = f"{preset.__name__}.json"
        torch.manual_seed(SEED)
        line = {"file": file, "seed": SEED, "dtype": "float32"} | described(preset().state_dict())
        lines.append(line)
        request = json.loads((HERE.parent.parent / "examples/models" / file).read_text())
        if {"file": file, "seed": request["seed"], "dtype": request["dtype"]} | described(tensors(request)) != line:
            wrong.append(file)
    if wrong:
        sys.exit(f"These requests do not describe their models: {', '.join(wrong)}")
    (HERE / "presets.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


if __name__ == "__main__":
    main()
