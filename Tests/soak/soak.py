#!/usr/bin/env python3
"""Runs good, bad, slow and rude clients against weight-init for some minutes, then checks that nothing has leaked.

The numbers of descriptors and threads must be the same as before the first request, and memory within 5 % of its size
after the first minute. /metrics must have counted the requests that were sent, and SIGTERM must end the process
normally. Meanwhile the status and the length of every reply are checked, and the bytes of some.

    python3 soak.py .build/release/weight-init [minutes]
"""

import collections
import json
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "attacks"))
from wire import Connection, Hang

GAIN = b"/gain?nonlinearity=leaky_relu&param=0.2"
LAYERS = json.dumps(
    {"seed": 1, "format": "safetensors", "layers": [{"type": "Linear", "in_features": 64, "out_features": 64}] * 8}
).encode()
HUGE = b"/init?method=normal&shape=67108864&format=raw"
WORKERS = 24
CACHE_BYTES = 4 << 20
REPLY_CACHE_BYTES = 1 << 20


class Tally:
    """Requests sent and answers received."""

    def __init__(self):
        self.lock = threading.Lock()
        self.answered = collections.Counter()
        self.unknown = 0
        self.did = collections.Counter()
        self.faults = []

    def count(self, route, status):
        with self.lock:
            self.answered[route, status] += 1

    def miss(self):
        """Counts a request whose answer was not read."""
        with self.lock:
            self.unknown += 1

    def fault(self, text):
        with self.lock:
            self.faults.append(text)


class Client(Connection):
    """A connection whose replies are counted."""

    def __init__(self, port, tally, receive_buffer=None):
        super().__init__(port, receive_buffer)
        self.tally = tally

    def ask_for(self, target, method=b"GET", body=None, fields=b""):
        """Sends a request; `head` and `body` read the reply."""
        head = method + b" " + target + b" HTTP/1.1\r\nHost: soak\r\n" + fields
        if body is not None:
            head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        self.send(head + b"\r\n" + (body or b""))
        self.target, self.method = target, method

    def fill(self):
        if not super().fill():
            raise EOFError("the connection ended")
        return True

    def head(self):
        self.status, fields = super().head()
        self.tally.count(self.target.partition(b"?")[0].decode(), self.status)
        return fields

    def body(self, fields):
        return self.reply_after(self.status, fields, self.method == b"HEAD").body

    def ask(self, target, status=200, **how):
        self.ask_for(target, **how)
        body = self.body(self.head())
        if self.status != status:
            self.tally.fault(f"{target} got {self.status}, not {status}: {body[:200]}")
        return body


class Traffic:
    """The behaviour of one client; each method is one kind of visit."""

    def __init__(self, port, tally, seed):
        self.port, self.tally = port, tally
        self.random = random.Random(seed)
        self.visits = [
            (self.small, 40), (self.formats, 10), (self.ranges, 6), (self.model, 6), (self.work, 4), (self.mistakes, 10),
            (self.nonsense, 8), (self.large_uploads, 2), (self.aborted_download, 8), (self.aborted_upload, 4),
            (self.abandoned_work, 3), (self.slow_reader, 2), (self.slow_sender, 2), (self.pipeline, 4),
        ]  # fmt: skip

    def run(self, stopped):
        while not stopped.is_set():
            [visit] = self.random.choices([visit for visit, _ in self.visits], [often for _, often in self.visits])
            try:
                visit()
            except (OSError, EOFError, ValueError, Hang) as error:
                self.tally.fault(f"{visit.__name__}: {type(error).__name__}: {error}")
            with self.tally.lock:
                self.tally.did[visit.__name__] += 1

    def client(self, **how):
        return Client(self.port, self.tally, **how)

    def seed(self):
        return b"%d" % self.random.randrange(1 << 32)

    def small(self):
        with self.client() as client:
            for _ in range(self.random.randrange(1, 20)):
                if b"1.3867504905630728" not in client.ask(GAIN):
                    self.tally.fault("another gain")
                client.ask(b"/fan?shape=64,3,7,7")
                client.ask(b"/livez")

    def formats(self):
        with self.client() as client:
            for format in (b"json", b"raw", b"npy", b"safetensors", b"summary"):
                client.ask(b"/init?method=kaiming_normal&shape=64,64&seed=" + self.seed() + b"&format=" + format)
            client.ask(b"/init?method=trunc_normal&shape=200,200&seed=" + self.seed())
            client.ask(b"/explain?method=normal&shape=1000000,1000000")
            client.ask(b"/methods")

    def ranges(self):
        target = b"/init?method=normal&shape=300000&format=raw&seed=" + self.seed()
        with self.client() as client:
            whole = client.ask(target)
            start = self.random.randrange(len(whole))
            end = self.random.randrange(start, len(whole))
            part = client.ask(target, 206, fields=b"Range: bytes=%d-%d\r\n" % (start, end))
            if part != whole[start : end + 1]:
                self.tally.fault(f"another range: {start}-{end} of {target}")
            client.ask(target, 304, fields=b"If-None-Match: *\r\n")
            client.ask(target, 416, fields=b"Range: bytes=%d-\r\n" % len(whole))
            client.ask(target, method=b"HEAD")

    def model(self):
        with self.client() as client:
            client.ask(b"/init", method=b"POST", body=LAYERS)
            client.ask(b"/explain", method=b"POST", body=LAYERS)

    def work(self):
        with self.client() as client:
            # The queue may be full.
            client.ask_for(b"/init?method=orthogonal&shape=96,96&format=raw&seed=" + self.seed())
            client.body(client.head())
            client.ask(b"/init?method=sparse&shape=64,64&sparsity=0.5&format=raw&seed=1")

    def mistakes(self):
        with self.client() as client:
            client.ask(b"/init?method=norml&shape=2", 400)
            client.ask(b"/init?method=normal&shape=99999999999999999999", 413)
            client.ask(b"/init?method=xavier_normal&shape=2", 422)
            client.ask(b"/init?method=zeros&shape=2", 406, fields=b"Accept: text/html\r\n")
            client.ask(b"/init", 400, method=b"POST", body=b'{"method":"normal",')
            client.ask(b"/init", 405, method=b"DELETE")
            client.ask(b"/gain", 400, method=b"POST", body=b"[" * 5000)
            client.ask(b"/no-such-path", 404)

    def nonsense(self):
        """Sends bytes that are not HTTP, or HTTP that two readers could understand differently."""
        heads = [
            b"GET /gain HTTP/1.1\r\n\r\n", b"\0\1\2\r\n\r\n", b"GET /gain\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n",
            b"POST /gain HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
            b"POST /gain HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"POST /gain HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            b"GET /gain HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
            bytes(self.random.randrange(256) for _ in range(200)),
        ]  # fmt: skip
        with self.client() as client:
            self.tally.miss()
            try:
                client.send(self.random.choice(heads))
                client.socket.shutdown(socket.SHUT_WR)
                while client.socket.recv(1 << 16):
                    pass
            except OSError:
                pass  # The connection may be cut before all is sent.

    def large_uploads(self):
        with self.client() as client:
            client.ask(b"/init", 413, method=b"POST", body=b" " * (2 << 20))
            client.ask(GAIN)

    def aborted_download(self):
        with self.client(receive_buffer=16 << 10) as client:
            client.ask_for(HUGE)
            client.head()
            client.exactly(self.random.randrange(1 << 20))
            if self.random.random() < 0.7:
                client.reset()

    def aborted_upload(self):
        with self.client() as client:
            self.tally.miss()
            head = b"POST /init HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n"
            client.send(head + b" " * self.random.randrange(5000))
            if self.random.random() < 0.7:
                client.reset()

    def abandoned_work(self):
        with self.client() as client:
            self.tally.miss()
            client.ask_for(b"/init?method=orthogonal&shape=200,200&format=raw&seed=" + self.seed())
            time.sleep(self.random.random() / 100)
            client.reset()

    def slow_reader(self):
        with self.client(receive_buffer=4 << 10) as client:
            client.ask_for(HUGE)
            client.head()
            for _ in range(self.random.randrange(20)):
                client.exactly(1000)
                time.sleep(0.1)

    def slow_sender(self):
        with self.client() as client:
            for byte in b"GET " + GAIN + b" HTTP/1.1\r\n":
                client.send(bytes([byte]))
                time.sleep(0.02)
            client.send(b"Host: a\r\n\r\n")
            client.target, client.method = GAIN, b"GET"
            client.body(client.head())

    def pipeline(self):
        with self.client() as client:
            count = self.random.randrange(2, 50)
            for _ in range(count):
                client.ask_for(GAIN)
            for _ in range(count):
                client.body(client.head())


class Program:
    """The program under test."""

    def __init__(self, path):
        self.process = subprocess.Popen(
            [
                path, "serve", "--port", "0", "--cache-bytes", str(CACHE_BYTES),
                "--reply-cache-bytes", str(REPLY_CACHE_BYTES), "--log-level", "critical",
            ],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        self.proc = pathlib.Path(f"/proc/{self.process.pid}")

    def descriptors(self):
        return sorted(re.sub(r"\d+", "", str(path.readlink())) for path in (self.proc / "fd").iterdir())

    def threads(self):
        return len(list((self.proc / "task").iterdir()))

    def resident(self):
        return int(re.search(r"VmRSS:\s*(\d+)", (self.proc / "status").read_text())[1])

    def metrics(self, tally):
        """Requests by route and status; `None` if the service has no such path."""
        with Client(self.port, tally) as client:
            client.ask_for(b"/metrics")
            fields = client.head()
            body = client.body(fields).decode()
        # The request for /metrics is counted only after its end.
        tally.answered["/metrics", client.status] -= 1
        if client.status == 404:
            return None
        counts = re.findall(
            r'^http_server_request_duration_seconds_count\{route="([^"]*)",status="([^"]*)"\} (\d+)$', body, re.MULTILINE
        )
        return {(route, status): int(count) for route, status, count in counts}


def soak(program, tally, seconds, seed):
    stopped = threading.Event()
    traffic = [Traffic(program.port, tally, seed + number) for number in range(WORKERS)]
    workers = [threading.Thread(target=each.run, args=(stopped,)) for each in traffic]
    for worker in workers:
        worker.start()
    time.sleep(seconds)
    stopped.set()
    for worker in workers:
        worker.join()


def settle(program, descriptors):
    """Waits until the last connections have ended, at most as long as the idle timeout."""
    for _ in range(600):
        if program.descriptors() == descriptors:
            break
        time.sleep(0.1)


def compare_metrics(found, tally):
    """Checks that the service has counted every answer received, and no more requests than were sent."""
    routes = {route for route, _ in found}
    answered = collections.Counter()
    for (route, status), count in tally.answered.items():
        answered[route if route in routes else "other", str(status)] += count
    for key, count in answered.items():
        if found.get(key, 0) < count:
            yield f"metrics: {found.get(key, 0)} of {key}, and {count} came back"
    counted, seen = sum(found.values()), sum(answered.values())
    if not seen <= counted <= seen + tally.unknown:
        yield f"metrics: {counted} requests, and {seen} were answered and {tally.unknown} sent besides"


def main():
    program = Program(sys.argv[1])
    minutes = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    tally = Tally()
    faults = tally.faults
    with Client(program.port, tally) as client:
        client.ask(b"/livez")
    time.sleep(1)
    descriptors, threads = program.descriptors(), program.threads()
    resident = []
    for minute in range(minutes):
        soak(program, tally, 60, seed=1000 * minute)
        settle(program, descriptors)
        # The service returns memory to the system about a second after the last connection has closed.
        time.sleep(3)
        resident.append(program.resident())
    early, late = resident[0], resident[-1]
    if program.descriptors() != descriptors:
        faults.append(f"descriptors: {descriptors} before, {program.descriptors()} after")
    if program.threads() != threads:
        faults.append(f"threads: {threads} before, {program.threads()} after")
    if late > early * 1.05:
        faults.append(f"memory: {early} KiB after a minute, {late} KiB at the end")
    found = program.metrics(tally)
    if found is not None:
        faults += compare_metrics(found, tally)
    program.process.send_signal(signal.SIGTERM)
    if program.process.wait(timeout=60) != 0:
        faults.append(f"it ended with {program.process.returncode}")
    for fault in faults[:20]:
        print(f"soak: {fault}", file=sys.stderr)
    visits = ", ".join(f"{name} {count}" for name, count in tally.did.most_common())
    print(f"soak: {sum(tally.answered.values())} replies, {tally.unknown} requests without; {visits}")
    print(f"soak: KiB after each minute: {resident}; {len(descriptors)} descriptors, {threads} threads")
    print(f"soak: {len(faults)} faults" + ("" if found else "; no metrics to compare"))
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
