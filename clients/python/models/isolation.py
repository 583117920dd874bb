"""Runs one model in its own process, with limits, so that a crash or an exceeded limit does not end the zoo."""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import signal
import time
from typing import Callable

from comparison import Result

#: Limits for a model: processor seconds, seconds, and bytes of memory.
PROCESSOR_SECONDS, SECONDS, MEMORY = 300, 3600, 8 << 30
#: Seconds after which a model has to wait until all others have been tried.
PATIENCE = 180
#: Stages in which the model's own constructor runs, so that it is the reason for exceeding a limit.
_OF_THE_LIBRARY = ("finding", "building")

Stage = Callable[[str], None]


def isolated(work: Callable[[Stage], Result], otherwise: Result, *, patience: float | None = None) -> Result | None:
    """The result of ``work`` in a child process; ``otherwise`` with the reason if the child ends without one.

    None if the child takes more than ``patience`` seconds: it is ended, and can be tried again.
    """
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)

    def run() -> None:
        receiver.close()
        resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS + 5))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sender.send(work(sender.send))

    child = fork.Process(target=run)
    child.start()
    sender.close()
    stage, reason = "finding", ""
    seconds = SECONDS if patience is None else min(patience, SECONDS)
    deadline = time.monotonic() + seconds
    with contextlib.suppress(EOFError):
        while receiver.poll(max(0, deadline - time.monotonic())):
            received = receiver.recv()
            if isinstance(received, Result):
                child.join()
                return received
            stage = received
        reason = f"takes more than {seconds:g} s"
        child.kill()
        if patience is not None:
            child.join()
            return None
    child.join()
    code = child.exitcode or 0
    if code in (-signal.SIGXCPU, -signal.SIGKILL) and not reason:
        reason = f"takes more than {PROCESSOR_SECONDS} s of a processor"
    if not reason:
        reason = f"its process ended with {signal.Signals(-code).name if code < 0 else f'status {code}'}"
    otherwise.outcome = "unbuilt" if stage in _OF_THE_LIBRARY else "failed"
    otherwise.detail = f"{stage}: {reason}"
    return otherwise
