#!/usr/bin/env python3
"""Makes the service use as much memory as clients can, within a limit: the sum in docs/operations.md.

    python3 memory_attack.py path/to/weight-init

Many clients at once ask for long replies and read none of them, and others send bodies that never end. The bounds are set
low, so that all of them are reached in seconds. The kernel enforces the limit, and the service must answer until the end;
its highest resident memory, which the kernel keeps, must not exceed the sum either.

The limit is RLIMIT_DATA, which every Linux has and which needs no privileges. It counts address space, whereas the sum
counts memory, so memory that the service has reserved but not touched at its start, mostly stacks of threads, is added.
Over this limit an allocation fails, whereas a container would be killed.
"""

import contextlib
import pathlib
import resource
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import costly
import memory
from wire import Service, get, head, post

MIB = 1 << 20
OPTIONS = {
    "max-body-memory": 48 * MIB, "max-upload-memory": 16 * MIB, "max-short-work-bytes": 16 * MIB,
    "reply-cache-bytes": 1 * MIB, "max-work-bytes": 128 * MIB, "cache-bytes": 16 * MIB,
    "max-model-bytes": MIB, "model-cache-bytes": 8 * MIB,
    "max-connections": 1300, "max-head-bytes": 32768, "threads": 2, "max-body-bytes": MIB,
}  # fmt: skip
# The service may refuse some of them. The memory for those that it accepts must fit the sum.
READERS = [
    ("explanations of 16.8 MB", post("/explain", costly.body(costly.LSTM)), 64),
    ("summaries of 54 MB", post("/init", costly.body(costly.LSTM | {"format": "summary"})), 64),
    ("tensors", get("/init?method=normal&shape=67108864&format=raw"), 32),
    ("JSON of a model", post("/init", costly.body(costly.LSTM)), 16),
    ("a shard", get("/random/llama-3-70b/resolve/main/model-00002-of-00030.safetensors"), 16),
]  # fmt: skip
UNFINISHED = 1020


# Seconds for an answer on a busy machine. The result does not depend on time: a reader is served or refused.
PATIENCE = 600
# Bytes that a served reader reads, so that the service continues its reply.
TAKEN = 64 << 10


def attack(service, stack):
    """Opens all connections; returns the readers' connections, each with its kind."""
    readers = []
    for kind, data, count in READERS:
        for _ in range(count):
            connection = stack.enter_context(service.connect(receive_buffer=4096, patience=PATIENCE))
            connection.send(data)
            readers.append((kind, connection))
    for _ in range(UNFINISHED):
        sender = stack.enter_context(service.connect(patience=PATIENCE))
        sender.send(head("POST /init", "Content-Type: application/json", f"Content-Length: {MIB}"))
        with contextlib.suppress(OSError):  # The sender may be refused before it has sent all.
            sender.send(b" " * (MIB - 1))
    return readers


def enforce(service, limit):
    """Sets RLIMIT_DATA of the running service; returns the untouched bytes that are added to `limit`."""
    untouched = (service.status("VmData") - service.status("RssAnon")) * 1024
    resource.prlimit(service.process.pid, resource.RLIMIT_DATA, (limit + untouched,) * 2)
    return untouched


def read(readers):
    """Reads replies; returns the number with status 200. Replies of the same kind must have the same bytes."""
    beginnings, served = {}, 0
    for kind, reader in readers:
        status, fields = reader.head()
        # 413: its work needs more memory than all work may hold.
        assert status in (200, 413, 503), (kind, status)
        if status != 200:
            continue
        served += 1
        while len(reader.buffer) < TAKEN and reader.fill():
            pass
        assert len(reader.buffer) >= TAKEN, f"{kind}: the reply ended after {len(reader.buffer)} bytes"
        # Chunks may have different sizes.
        if "content-length" in fields:
            assert beginnings.setdefault(kind, reader.buffer[:TAKEN]) == reader.buffer[:TAKEN], f"{kind}: other bytes"
    return served


def main():
    program = sys.argv[1]
    limit = memory.most(OPTIONS.get)
    most, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(highest, 4096), highest))
    options = [word for name, value in OPTIONS.items() for word in (f"--{name}", str(value))]
    # Readers that are not served get 503 soon, or 413 at once.
    options += ["--work-timeout", "3"]
    with Service(program, *options) as service:
        # All threads exist once each has answered.
        service.check(patience=PATIENCE)
        untouched = enforce(service, limit)
        print(f"memory: RLIMIT_DATA is the sum of {limit / MIB:.0f} MiB, and {untouched / MIB:.0f} MiB reserved at the start")
        with contextlib.ExitStack() as stack:
            readers = attack(service, stack)
            try:
                service.check(patience=PATIENCE)
                served = read(readers)
                service.check(patience=PATIENCE)
            finally:
                # If the service has ended, so has its status.
                held = service.status("VmHWM") * 1024 if service.process.poll() is None else 0
                print(f"memory: {held / MIB:.0f} MiB at the highest; the sum is {limit / MIB:.0f} MiB")
        service.check(patience=PATIENCE)
    print(f"memory: {UNFINISHED} unfinished bodies, {served} of {len(readers)} readers served")
    # A container with this limit would have been killed.
    assert held <= limit, "more than the sum in docs/operations.md"
    assert served >= 8, "too few readers were served to say anything"


if __name__ == "__main__":
    main()
