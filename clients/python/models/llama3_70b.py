"""The constructor of Llama 3 70B in bfloat16, by the members of its published config: 141 GB of weights."""

from __future__ import annotations

import catalogue

catalogue.declare_torchvision_operators()

import torch
import transformers


def build() -> torch.nn.Module:
    config = transformers.LlamaConfig(
        vocab_size=128256,
        hidden_size=8192,
        intermediate_size=28672,
        num_hidden_layers=80,
        num_attention_heads=64,
        num_key_value_heads=8,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
        bos_token_id=128000,
        eos_token_id=128001,
    )
    return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
