"""Fills modules from a service: matches names, allocates tensors of the meta device, handles distributed tensors."""

from __future__ import annotations

import concurrent.futures
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Mapping

import torch

from .client import Progress, memory, rows_of
from .errors import LossyDtypeError, ModuleMismatchError
from .literals import in_pairs
from .safetensors import NAMES, SIZES, Member

if TYPE_CHECKING:
    from .client import Client


#: The service plans the whole model for each request, which takes as long as making some MiB: smaller parts get no
#: request.
_SMALLEST_PART = 32 << 20


@dataclass(slots=True)
class _Target:
    """A tensor of the module, by its first name."""

    name: str
    tensor: torch.Tensor
    #: The block of the whole tensor that this process holds, or None for all of it.
    part: str | None
    shape: tuple[int, ...]
    #: True if the tensor is not in the state dict.
    hidden: bool

    @property
    def local(self) -> torch.Tensor:
        held = getattr(self.tensor, "to_local", None)
        local: torch.Tensor = held() if held is not None else self.tensor
        return local.detach()


def load(
    client: Client,
    module: torch.nn.Module,
    request: Mapping[str, Any],
    seed: int,
    *,
    device: str | torch.device | None,
    cast: bool,
    connections: int,
    digests: Mapping[str, str] | None,
    progress: Progress | None,
) -> torch.nn.Module:
    """See `Client.load_`."""
    names = _targets(module)
    # Buffers outside the state dict are made only if they are included by name.
    hidden = [entry["name"] for entry in request.get("tensors", ()) if not entry.get("persistent", True) and entry["name"] in names]
    planned, ties = client._plan({**request, "include": [*request.get("include", ["*"]), *hidden]} if hidden else request, seed)
    members = {member.name: member for member in planned}
    misfits, lossy = _problems(names, members, ties, cast)
    if misfits:
        raise ModuleMismatchError(misfits + lossy)
    if lossy:
        raise LossyDtypeError(lossy)
    _give_memory(module, torch.device(device) if device is not None else torch.device("cpu"))
    names = _targets(module)
    # A tied tensor of the request may be several tensors of the module: one is fetched, the others are copied.
    receivers: dict[str, list[_Target]] = {}
    for name, target in names.items():
        if ties.get(name, name) in members and target not in receivers.setdefault(ties.get(name, name), []):
            receivers[ties.get(name, name)].append(target)
    jobs = _divided(_jobs(receivers, members), max(1, connections), whole={*(digests or ()), *request.get("slices", ())})
    total = sum(job.bytes for job in jobs)
    lock, received = threading.Lock(), 0

    def count(more: int) -> None:
        nonlocal received
        with lock:
            received += more
            if progress is not None:
                progress(received, total)

    client, stop = client._for_one_call()
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, connections)) as pool:
        groups = _groups(jobs, max(1, connections))
        futures = [pool.submit(_run, client, request, seed, group, count, digests) for group in groups]
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
        except BaseException:
            # One failure, or Ctrl-C, ends the others too.
            stop.set()
            raise
    return module


@dataclass(slots=True)
class _Job:
    """A tensor, or a block of one, to be fetched and stored."""

    name: str
    part: str | None
    bytes: int
    targets: list[_Target]
    #: The first row of the targets' own memory, and the number of rows; None for all of it.
    rows: tuple[int, int] | None = None

    def piece(self, target: _Target) -> torch.Tensor:
        """The memory of a target that this job fills."""
        return target.local if self.rows is None else target.local.narrow(0, *self.rows)


def _run(
    client: Client, request: Mapping[str, Any], seed: int, jobs: list[_Job], count: Callable[[int], None], digests: Mapping[str, str] | None
) -> None:
    by_name = {job.name: job for job in jobs}
    buffers: dict[str, torch.Tensor] = {}
    asked = {**request, "include": list(by_name)}
    slices = {job.name: job.part for job in jobs if job.part is not None}
    if slices:
        asked["slices"] = {**request.get("slices", {}), **slices}

    def place(member: Member) -> memoryview:
        job = by_name[member.name]
        local = job.piece(job.targets[0])
        dtype = getattr(torch, NAMES[member.dtype])
        if local.device.type == "cpu" and local.is_contiguous() and local.dtype == dtype and tuple(local.shape) == member.shape:
            return memory(local)
        buffers[member.name] = torch.empty(member.shape, dtype=dtype)
        return memory(buffers[member.name])

    def done(member: Member) -> None:
        job = by_name[member.name]
        source, targets = buffers.pop(member.name, None), job.targets
        if source is None:
            # The tensor was read into the first target's memory.
            source, targets = job.piece(targets[0]), targets[1:]
        for target in targets:
            _copy(source, job.piece(target))

    client._fetch(asked, seed, place, done, count, digests)


@torch.no_grad()
def _copy(source: torch.Tensor, target: torch.Tensor) -> None:
    target.copy_(source.reshape(target.shape))


def _jobs(receivers: Mapping[str, list[_Target]], members: Mapping[str, Member]) -> list[_Job]:
    jobs = []
    for name, targets in receivers.items():
        # Ties of a sharded module share their shards.
        by_part: dict[str | None, list[_Target]] = {}
        for target in targets:
            if target.local.numel():
                by_part.setdefault(target.part, []).append(target)
        for part, same in by_part.items():
            jobs.append(_Job(name, part, same[0].local.numel() * SIZES[members[name].dtype], same))
    return jobs


def _divided(jobs: list[_Job], count: int, whole: set[str]) -> list[_Job]:
    """The same jobs, with tensors that are much larger than a connection's share divided by rows.

    ``whole`` names tensors that have to be fetched in one piece, because of a digest or a slice in the request.
    """
    share = max(_SMALLEST_PART, sum(job.bytes for job in jobs) // count)
    divided = []
    for job in jobs:
        shape = job.targets[0].local.shape
        if 2 * job.bytes < 3 * share or job.name in whole or not shape:
            divided.append(job)
            continue
        pieces = min(-(-job.bytes // share), shape[0])
        ends = [shape[0] * index // pieces for index in range(pieces + 1)]
        for start, end in zip(ends, ends[1:]):
            divided.append(
                _Job(job.name, rows_of(job.part, start, end), job.bytes // shape[0] * (end - start), job.targets, (start, end - start))
            )
    return divided


def _groups(jobs: list[_Job], count: int) -> list[list[_Job]]:
    """At most ``count`` groups of about the same size, or more if a name repeats, because a group has each name once.

    Neighbours stay together, so that each request reads its part of the stream in order.
    """
    total = sum(job.bytes for job in jobs)
    count = max(1, min(count, total // _SMALLEST_PART))
    groups: list[list[_Job]] = []
    names: set[str] = set()
    at, last = 0, -1
    for job in jobs:
        # The part of the whole that contains the job's middle.
        part = (2 * at + job.bytes) * count // (2 * total)
        if part != last or job.name in names:
            groups.append([])
            names.clear()
        groups[-1].append(job)
        names.add(job.name)
        at, last = at + job.bytes, part
    return groups


def _targets(module: torch.nn.Module) -> dict[str, _Target]:
    """The module's tensors, by all of their names."""
    targets: dict[int, _Target] = {}
    names: dict[str, _Target] = {}
    for prefix, part in module.named_modules(remove_duplicate=False):
        prefix += "." if prefix else ""
        tensors = {**part._parameters, **part._buffers}
        for leaf, tensor in tensors.items():
            if tensor is None:
                continue
            known = targets.get(id(tensor))
            if known is None:
                hidden = leaf in part._non_persistent_buffers_set
                held = in_pairs(tensor, persistent=not hidden)
                known = targets[id(tensor)] = _Target(prefix + leaf, held, _part(held), tuple(held.shape), hidden)
            names[prefix + leaf] = known
    return names


def _part(tensor: torch.Tensor) -> str | None:
    """The block of a DTensor that this process holds, as a slice; None for all of a tensor."""
    placements = getattr(tensor, "placements", None)
    if placements is None:
        return None
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    mesh: Any = getattr(tensor, "device_mesh")
    shape, offset = compute_local_shape_and_global_offset(tensor.shape, mesh, placements)
    return ",".join(f"{start}:{start + size}" for start, size in zip(offset, shape))


def _problems(
    names: Mapping[str, _Target], members: Mapping[str, Member], ties: Mapping[str, str], cast: bool
) -> tuple[list[str], list[str]]:
    """All names, shapes and dtypes that do not fit, and dtypes that fit with a cast."""
    problems, lossy = [], []
    for name, target in names.items():
        member = members.get(ties.get(name, name))
        if member is None:
            # A buffer outside the state dict keeps its content.
            if not target.hidden or target.tensor.is_meta:
                problems.append(f"{name}: the request has no such tensor")
            continue
        if member.shape != target.shape:
            problems.append(f"{name}: has the shape {list(target.shape)}; the request makes {list(member.shape)}")
            continue
        made = getattr(torch, NAMES[member.dtype])
        held = target.tensor.dtype
        if _holds(held, made):
            continue
        if not held.is_floating_point:
            problems.append(f"{name}: is {held}, the request makes {made}")
        elif not cast:
            lossy.append(f"{name}: is {held}, the request makes {made}: pass cast=True to round")
    for name in (*members, *(name for name, target in ties.items() if target in members)):
        if name not in names:
            problems.append(f"{name}: the module has no such tensor")
    return problems, lossy


def _holds(held: torch.dtype, made: torch.dtype) -> bool:
    """True if every value of ``made`` is also a value of ``held``."""
    if held == made or made == torch.bool:
        return True
    if held == torch.bool:
        return False
    if held.is_complex:
        held = held.to_real()
    if made.is_floating_point:
        if not held.is_floating_point:
            return False
        wide, narrow = torch.finfo(held), torch.finfo(made)
        return wide.max >= narrow.max and wide.eps <= narrow.eps and wide.smallest_normal <= narrow.smallest_normal
    integers = torch.iinfo(made)
    if held.is_floating_point:
        # A float has consecutive integers up to 2 / eps.
        return integers.max <= 2 / torch.finfo(held).eps
    return torch.iinfo(held).min <= integers.min and integers.max <= torch.iinfo(held).max


def _give_memory(module: torch.nn.Module, device: torch.device) -> None:
    """Replaces tensors on the meta device with uninitialised ones on ``device``; shared tensors stay shared."""
    if any(tensor.is_meta and hasattr(tensor, "to_local") for tensor in (*module.parameters(), *module.buffers())):
        module.to_empty(device=device)  # fully_shard keeps its own references
        return
    made: dict[int, torch.Tensor] = {}
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for leaf, tensor in tensors.items():
                if tensor is None or not tensor.is_meta:
                    continue
                replacement = made.get(id(tensor))
                if replacement is None:
                    replacement = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)
                    if isinstance(tensor, torch.nn.Parameter):
                        replacement = torch.nn.Parameter(replacement, requires_grad=tensor.requires_grad)
                    made[id(tensor)] = replacement
                tensors[leaf] = replacement  # type: ignore[assignment]
