"""Processes of a group of torch.distributed, which always end in the same way and cannot hang their test."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import tempfile
import traceback
from typing import Any, Callable

import torch
import torch.distributed

#: Seconds after which ranks without a result count as hanging. On a busy machine, an import of PyTorch can take a
#: minute.
PATIENCE = 600
#: Seconds for the other ranks once one has failed. Usually they fail, too, and the first report is not always about the
#: cause.
GRACE = 30


class RankError(AssertionError):
    """Ranks failed, died or hang. The message names them and has their tracebacks."""


def run(world: int, work: Callable[..., Any], *arguments: Any, method: str = "spawn") -> list[Any]:
    """The results of ``work(rank, …)`` on each of ``world`` processes of a group, spawned or forked.

    Raises:
        RankError: a rank has no result. The message says so of each such rank; those that hang are killed.
    """
    context: Any = multiprocessing.get_context(method)
    processes: list[Any] = []
    results: list[Any] = [None] * world
    failures: list[str] = []
    # Ranks without a result yet, by the pipe for their result.
    waiting: dict[Any, int] = {}
    with tempfile.TemporaryDirectory() as directory:
        try:
            for rank in range(world):
                receiver, sender = context.Pipe(duplex=False)
                waiting[receiver] = rank
                arguments_of_rank = (rank, world, f"file://{directory}/store", sender, work, arguments)
                process = context.Process(target=_be_rank, args=arguments_of_rank, daemon=True)
                process.start()
                processes.append(process)
                # Only the rank can write now, so that the pipe ends when the rank does.
                sender.close()
            while waiting and (ready := multiprocessing.connection.wait(list(waiting), GRACE if failures else PATIENCE)):
                for receiver in ready:
                    rank = waiting.pop(receiver)
                    results[rank], failure = _received(receiver, processes[rank])
                    if failure is not None:
                        failures.append(f"rank {rank}: {failure}")
            if not failures and waiting:
                failures.append(f"no result within {PATIENCE} s: ranks {sorted(waiting.values())}")
        finally:
            # Ranks that gave a result or an error end by themselves.
            for receiver, rank in waiting.items():
                receiver.close()
                if rank < len(processes):
                    processes[rank].kill()
            for process in processes:
                process.join()
    if failures:
        raise RankError("\n".join(failures))
    return results


def _received(receiver: Any, process: Any) -> tuple[Any, str | None]:
    """The result of a rank, or its fault."""
    with receiver:
        try:
            result, failure = receiver.recv()
        except EOFError:
            process.join()
            code = process.exitcode
            return None, f"ended with {signal.Signals(-code).name if code < 0 else f'status {code}'} and without a result"
    return result, failure


def _be_rank(
    rank: int, world: int, store: str, sender: Any, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    try:
        torch.set_num_threads(1)
        torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
        result = work(rank, *arguments)
        # No rank leaves while another rank still needs it.
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        sender.send((result, None))
    except BaseException:
        sender.send((None, traceback.format_exc()))
    finally:
        # Meshes keep the group's threads even after `destroy_process_group`. A thread can still free a tensor, for
        # which it takes Python's global lock, and this aborts the process if the interpreter is shutting down. So the
        # interpreter is not shut down.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
