"""Constructors of real models: every one of torchvision, one of each family of timm, one of each architecture of transformers.

Each is a key, and a function that finds its name and a constructor that downloads nothing, or raises the library's error.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import inspect
import io
import re
import warnings
from pathlib import Path
from typing import Any, Callable, Iterator

import torch
import torch.library

Build = Callable[[], torch.nn.Module]
Found = Callable[[], tuple[str, Build]]

#: Numbers of parameters above which a config is made smaller, and above which a model is not built at all.
LARGE, LARGEST = 100_000_000, 700_000_000


def declare_torchvision_operators() -> None:
    """Makes torchvision's wheel for CUDA importable with a CPU build of torch, which cannot load its C++ library.

    When it is imported, the wheel registers shape functions for its operators, which must exist. No constructor calls
    them.
    """
    specification = importlib.util.find_spec("torchvision")
    if specification is None or specification.origin is None or torch.version.cuda is not None:
        return
    text = Path(specification.origin).with_name("_meta_registrations.py").read_text()
    global _operators  # lives as long as the process
    _operators = torch.library.Library("torchvision", "FRAGMENT")
    for name in set(re.findall(r'register_fake\("torchvision::(\w+)"\)', text)):
        if not hasattr(torch.ops.torchvision, name):
            _operators.define(f"{name}(Tensor stand_in) -> Tensor")


_operators: Any = None


def count(build: Build) -> int:
    """The number of parameters, found without memory."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sum(parameter.numel() for parameter in build().parameters())


def torchvision_models() -> Iterator[tuple[str, Found]]:
    """Every model of torchvision, with random weights."""
    from torchvision import models

    def find(name: str) -> tuple[str, Build]:
        builder = models.get_model_builder(name)
        accepted = inspect.signature(builder).parameters
        arguments: dict[str, Any] = {key: None for key in ("weights", "weights_backbone") if key in accepted}
        return name, lambda: builder(**arguments)

    for name in models.list_models():
        yield name, functools.partial(find, name)


#: Words in the names of a family's large models.
_BIG = re.compile("giant|huge|large|xl|so400m|enormous|7b")


def timm_models() -> Iterator[tuple[str, Found]]:
    """The smallest model of each module of timm."""
    import timm

    def find(module: str) -> tuple[str, Build]:
        sizes: dict[str, int] = {}
        failure: Exception = ValueError("it has no models")
        for name in sorted(timm.list_models(module=module), key=lambda name: _BIG.search(name) is not None):
            if sizes and _BIG.search(name):
                break
            try:
                sizes[name] = count(lambda: timm.create_model(name))
            except Exception as error:  # some cannot be built on the meta device
                failure = error
                continue
            if sizes[name] < 6_000_000:
                break
        if not sizes:
            raise failure
        best = min(sizes, key=lambda name: sizes[name])
        return best, lambda: timm.create_model(best)

    for module in timm.list_modules():
        if timm.list_models(module=module):
            yield module, functools.partial(find, module)


#: Smaller values for members of configs, tried on those that a config has.
_SHALLOW = {
    "num_hidden_layers": 2, "n_layer": 2, "n_layers": 2, "num_layers": 2, "encoder_layers": 2, "decoder_layers": 2,
    "num_encoder_layers": 2, "num_decoder_layers": 2, "decoder_num_layers": 2, "num_hidden_groups": 1, "vocab_size": 1003,
}
#: Members of configs that constructors need and that have no default.
_WANTED = {"prediction_length": 24}
_NARROW = _SHALLOW | {
    "hidden_size": 64, "d_model": 64, "n_embd": 64, "dim": 64, "intermediate_size": 128, "ffn_dim": 128, "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128, "d_ff": 128, "num_attention_heads": 4, "n_head": 4, "n_heads": 4, "num_heads": 4,
    "num_key_value_heads": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "head_dim": 16, "d_kv": 16,
    "num_experts": 4, "n_routed_experts": 8, "num_local_experts": 4, "moe_intermediate_size": 32,
}


def transformers_models() -> Iterator[tuple[str, Found]]:
    """One model of each architecture of transformers, from its own config or a smaller one."""
    # Nearly all models import these modules, which takes seconds: imported once, before each model gets its own
    # process.
    from transformers import CLIPModel, LlamaModel  # noqa: F401
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_MAPPING, MODEL_MAPPING_NAMES

    def find(kind: str) -> tuple[str, Build]:
        config_class = CONFIG_MAPPING[kind]
        model_class = MODEL_MAPPING[config_class]
        return kind, _transformer(config_class, model_class[0] if isinstance(model_class, (tuple, list)) else model_class)

    for kind in CONFIG_MAPPING:
        if kind in MODEL_MAPPING_NAMES:
            yield kind, functools.partial(find, kind)


#: Variants that are tried in turn, because some configs are not valid with all smaller members.
_VARIANTS: list[tuple[dict[str, int], tuple[str, ...]]] = [
    ({}, ()),
    (_SHALLOW, ()),
    (_SHALLOW, ("vocab_size",)),
    (_NARROW, ()),
    (_NARROW, ("head_dim",)),
    (_NARROW, ("num_key_value_heads",)),
    (_NARROW, ("head_dim", "num_key_value_heads")),
    (_NARROW, ("num_hidden_layers", "num_layers", "n_layers")),
    (_NARROW, ("num_attention_heads", "num_key_value_heads", "num_heads", "head_dim")),
    (_NARROW, ("vocab_size",)),
]


def _transformer(config_class: Any, model_class: Any) -> Build:
    failure: Exception | None = None
    sizes: dict[int, Build] = {}
    for overrides, without in _VARIANTS:
        with contextlib.redirect_stderr(io.StringIO()):
            try:
                config = _small(config_class, {key: value for key, value in overrides.items() if key not in without})
                build: Build = lambda config=config: model_class(config)  # noqa: E731
                size = count(build)
            except Exception as error:
                failure = failure or error
                continue
        sizes.setdefault(size, build)
        if size <= LARGE:
            break
    if not sizes and failure is not None:
        raise failure
    if min(sizes) > LARGEST:
        raise ValueError(f"its configs make {min(sizes) / 1e6:.0f} million parameters and more")
    return sizes[min(sizes)]


def _small(config_class: Any, overrides: dict[str, int]) -> Any:
    """The default config with smaller members, in its sub-configs too."""
    config = config_class()
    wanted = {key: value for key, value in _WANTED.items() if getattr(config, key, 0) is None}
    if not overrides and not wanted:
        return config
    arguments: dict[str, Any] = _fitting(config, overrides) | wanted
    for name in getattr(config_class, "sub_configs", {}):
        part = getattr(config, name, None)
        if part is not None:
            arguments[name] = type(part)(**_fitting(part, overrides)).to_dict()
    return config_class(**arguments)


def _fitting(config: Any, overrides: dict[str, int]) -> dict[str, int]:
    """The overrides for members that the config has, with tokens within its vocabulary."""
    arguments = {key: value for key, value in overrides.items() if type(getattr(config, key, None)) is int}
    if "vocab_size" in arguments:
        for key in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"):
            value = getattr(config, key, None)
            if isinstance(value, int) and value >= arguments["vocab_size"]:
                arguments[key] = 0
    return arguments
