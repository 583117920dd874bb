"""FSDP2 on two ranks, each of which fetches its own part of the initial weights; no rank ever has the whole model.

    pip install ../clients/python torch
    python fsdp.py

For comparison, one process trains the whole model, initialised by its constructor, on the batches of both ranks. The losses
are the same, to the bit.
"""

import os
import sys
import tempfile

import torch
import torch.distributed
import torch.multiprocessing
from torch import nn
from torch.distributed.fsdp import fully_shard
from weight_init import Client, trace

RANKS, STEPS, SEED = 2, 5, 42
SERVICE, TOKEN = os.environ.get("WEIGHT_INIT_URL", "http://localhost:8080"), os.environ.get("WEIGHT_INIT_TOKEN")


def build():
    return nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 256), nn.GELU(), nn.Linear(256, 1))


def sharded(model):
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer)
    return fully_shard(model)


def from_service(request):
    with torch.device("meta"):
        model = sharded(build())
    return Client(SERVICE, TOKEN).load_(model, request, seed=SEED)


def batches(rank):
    """A rank's inputs, one batch a step."""
    generator = torch.Generator().manual_seed(rank)
    return [torch.randn(32, 64, generator=generator) for _ in range(STEPS)]


def loss_of(model, inputs):
    return (model(inputs) - inputs.sum(1, keepdim=True)).square().mean()


def train_sharded(model, rank):
    """The losses of this rank. FSDP2 averages the gradients."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for inputs in batches(rank):
        optimizer.zero_grad()
        loss = loss_of(model, inputs)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def train_alone():
    """The losses of every rank, from one process that starts as PyTorch does."""
    torch.manual_seed(SEED)
    model = build()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = [[] for _ in range(RANKS)]
    for step in zip(*map(batches, range(RANKS))):
        optimizer.zero_grad()
        for rank, inputs in enumerate(step):
            loss = loss_of(model, inputs)
            loss.backward()
            losses[rank].append(loss.item())
        for parameter in model.parameters():
            parameter.grad /= RANKS
        optimizer.step()
    return losses


def main(rank, store, request):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=RANKS)
    model = from_service(request)
    held = torch.tensor(sum(parameter.to_local().numel() for parameter in model.parameters()))
    losses = train_sharded(model, rank)
    if losses != train_alone()[rank]:
        raise SystemExit("the losses are not those of one process")
    torch.distributed.all_reduce(held)
    if rank == 0:
        print(f"{RANKS} ranks hold {held} parameters together")
        print(f"{STEPS} losses of each rank are those of one process, to the bit; they fall: {losses[-1] < losses[0]}")
    torch.distributed.destroy_process_group()
    # Threads of the group live on, and can abort a process while Python shuts down: end without that.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        torch.multiprocessing.spawn(main, (f"{directory}/store", trace(build)), nprocs=RANKS)
