"""Loads models on every rank of real process groups, and compares each rank's parameters with slices of the constructor's.

    check_distributed.py PROGRAM

A small Llama and a small ViT are loaded by 2 and 4 processes: FSDP2, tensor parallel, and both on a mesh of 2 × 2. Then
four ranks load a quarter each of a model of 1 GB: after PyTorch is imported, their memory may grow by 100 MB more than
the quarter. Each rank may receive 2 % more than it holds.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Callable

# As check.py says.
os.environ.setdefault("MKL_CBWR", "COMPATIBLE")

import torch

import catalogue

catalogue.declare_torchvision_operators()

from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torchvision.models import VisionTransformer
from transformers import LlamaConfig, LlamaForCausalLM

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
import ranks
from comparison import SEED
from tensors import Service
from weight_init import Client
from weight_init.literals import raw_bytes
from weight_init.tracing import exported, named_state

#: The most that a rank may receive, as a multiple of its part, and the most memory in bytes beyond its part and
#: imports.
RECEIVED, MEMORY = 1.02, 100_000_000


def llama() -> nn.Module:
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=4003, hidden_size=512, intermediate_size=1024, num_hidden_layers=2, num_attention_heads=8, num_key_value_heads=4
    ))


def vit() -> nn.Module:
    return VisionTransformer(image_size=64, patch_size=8, num_layers=2, num_heads=6, hidden_dim=384, mlp_dim=1536, num_classes=10)


def large() -> nn.Module:
    return nn.Sequential(*(nn.Linear(4096, 4096, bias=False) for _ in range(15)))


def blocks(module: nn.Module) -> list[nn.Module]:
    """The layers that are sharded one by one."""
    return list(module.model.layers if isinstance(module, LlamaForCausalLM) else module.encoder.layers)


def fully_sharded(module: nn.Module, mesh: DeviceMesh) -> None:
    for block in blocks(module):
        fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)


#: Ends of names of tensors that are sharded by rows or by columns; other tensors are replicated.
ROWS = ("q_proj.weight", "k_proj.weight", "v_proj.weight", "gate_proj.weight", "up_proj.weight", "lm_head.weight",
        "mlp.0.weight", "mlp.0.bias", "in_proj_weight")
COLUMNS = ("o_proj.weight", "down_proj.weight", "embed_tokens.weight", "mlp.3.weight", "out_proj.weight")


def tensor_parallel(module: nn.Module, mesh: DeviceMesh) -> None:
    for prefix, part in module.named_modules():
        for leaf, parameter in list(part._parameters.items()):
            if parameter is not None:
                name = f"{prefix}.{leaf}"
                placement = Shard(0) if name.endswith(ROWS) else Shard(1) if name.endswith(COLUMNS) else Replicate()
                whole = distribute_tensor(parameter.detach(), mesh, [placement], src_data_rank=None)
                part.register_parameter(leaf, nn.Parameter(whole))


def both(module: nn.Module, mesh: DeviceMesh) -> None:
    tensor_parallel(module, mesh["tensor"])
    fully_sharded(module, mesh["data"])


def load_and_compare(
    rank: int, url: str, build: Callable[[], nn.Module], shard: Callable[[nn.Module, DeviceMesh], None], sizes: tuple[int, ...],
    request: dict[str, Any], expected: dict[str, torch.Tensor],
) -> tuple[int, int]:
    """Bytes that the rank holds, and bytes that it received."""
    mesh = init_device_mesh("cpu", sizes, mesh_dim_names=("data", "tensor")[-len(sizes):])
    with torch.device("meta"):
        module = build()
    shard(module, mesh)
    client = Client(url)
    client.load_(module, request, seed=SEED, connections=2)
    held = 0
    for name, tensor in named_state(module):
        whole = expected[name]
        if isinstance(tensor, DTensor):
            part = distribute_tensor(whole, tensor.device_mesh, tensor.placements, src_data_rank=None).to_local()
            tensor = tensor.to_local()
        else:
            part = whole
        if tuple(part.shape) != tuple(tensor.shape) or raw_bytes(part) != raw_bytes(tensor):
            raise AssertionError(f"{name} differs from its part of the constructor's")
        held += tensor.numel() * tensor.element_size()
    return held, client.received


def load_quarter(rank: int, url: str, request: dict[str, Any]) -> tuple[int, int, int]:
    """Bytes that the rank holds, bytes that it received, and the peak growth of its memory since all imports."""
    mesh = init_device_mesh("cpu", (4,))
    with torch.device("meta"):
        module = large()
    for part in module:
        fully_shard(part, mesh=mesh)
    fully_shard(module, mesh=mesh)
    client = Client(url)
    client.load_(module, request, seed=SEED)
    held = sum(parameter.to_local().nbytes for parameter in module.parameters())
    return held, client.received, memory("VmHWM") - IMPORTED


def memory(field: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) << 10


#: In a spawned process, which imports this file: the bytes that imports took.
IMPORTED = memory("VmRSS")


CASES: list[tuple[str, int, tuple[int, ...], Callable[[nn.Module, DeviceMesh], None]]] = [
    ("FSDP2", 2, (2,), fully_sharded),
    ("FSDP2", 4, (4,), fully_sharded),
    ("tensor parallel", 2, (2,), tensor_parallel),
    ("tensor parallel", 4, (4,), tensor_parallel),
    ("FSDP2 and tensor parallel", 4, (2, 2), both),
]


def main() -> None:
    torch.set_num_threads(1)
    with Service(sys.argv[1]) as service:
        for build in (llama, vit):
            request, _, _ = exported(build, meta=True)
            torch.manual_seed(SEED)
            expected = {name: tensor.detach() for name, tensor in named_state(build())}
            for what, world, sizes, shard in CASES:
                loaded = ranks.run(world, load_and_compare, service.url, build, shard, sizes, request, expected, method="fork")
                more = received_more(loaded)
                print(f"{build.__name__}, {what}, {world} processes: {loaded[0][0] / 1e6:.1f} MB a rank, {more:.2%} more received", flush=True)
        request, size, _ = exported(large, meta=True)
        # Spawned, because a forked process would count, or reuse, this process's memory.
        loaded = ranks.run(4, load_quarter, service.url, request)
        more, grown = received_more(loaded), max(grown - held for held, _, grown in loaded)
        print(f"a quarter of {size / 1e9:.2f} GB on each of four ranks: {grown / 1e6:.0f} MB of memory beyond it and the imports, "
              f"{more:.2%} more received", flush=True)
        if any(abs(held - size / 4) > size / 400 for held, *_ in loaded):
            sys.exit("a rank does not hold a quarter")
        if grown > MEMORY:
            sys.exit(f"a rank takes more than {MEMORY // 1_000_000} MB beyond its part")
    print(f"check_distributed: {2 * len(CASES) + 1} process groups")


def received_more(loaded: list[Any]) -> float:
    """The largest share by which a rank received more than it holds."""
    share = max(received / held for held, received, *_ in loaded)
    if share > RECEIVED:
        sys.exit(f"a rank receives {share - 1:.2%} more than it holds")
    return share - 1


if __name__ == "__main__":
    main()
