"""Checks the Hub's protocol with the Hub's own clients: huggingface_hub, transformers, accelerate.

    check_hub.py PROGRAM PYTHON...

Each PYTHON has a version of these libraries, and runs client.py against services of PROGRAM: one with the defaults, one
that splits weights into shards and needs a token, and one behind a proxy that breaks connections. Requests to any other
host fail, and the check fails with them.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from typing import Iterator

HERE = pathlib.Path(__file__).parent
TOKEN = "hf_" + "a" * 34
#: Bytes of a reply after which the proxy breaks the connection, once for each resource. Clients write pieces of 10 MiB.
CUT = 12_000_000

#: A handwritten model for a directory: two tensors and a tie, with a file that is not JSON.
OWN = {
    "description": "an own model",
    "tensors": [
        {"name": "weight", "shape": [2600, 2048], "method": "kaiming_uniform"},
        {"name": "other.weight", "shape": [2048], "method": "ones"},
    ],
    "tie": {"head.weight": "weight"},
}


@contextlib.contextmanager
def service(program: str, *options: str) -> Iterator[str]:
    """Runs ``weight-init serve`` on a free port; yields its address."""
    process = subprocess.Popen(
        [program, "serve", "--host", "127.0.0.1", "--port", "0", *options], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if "http://" not in line:
            raise SystemExit(f"{program} did not start: {line!r}")
        yield line.split()[-1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


@contextlib.contextmanager
def breaking_proxy(address: str) -> Iterator[str]:
    """Forwards connections to a service, and breaks the first one for each path in the middle of a long reply.

    At the end, the rest of each broken reply must have been requested.
    """
    host, port = address.removeprefix("http://").split(":")
    listener = socket.create_server(("127.0.0.1", 0))
    broken: set[bytes] = set()
    resumed: set[bytes] = set()

    def serve(client: socket.socket) -> None:
        # Each connection has one request, because the reply closes it.
        with contextlib.suppress(OSError), client, socket.create_connection((host, int(port))) as upstream:
            head = b""
            while b"\r\n\r\n" not in head and (data := client.recv(1 << 16)):
                head += data
            upstream.sendall(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            line = head.split(b"\r\n")[0]
            if b"\r\nrange: bytes=" in head.lower():
                resumed.add(line)
            count = 0
            while data := upstream.recv(1 << 16):
                count += len(data)
                if count > CUT and line.startswith(b"GET") and line not in broken:
                    broken.add(line)
                    break
                client.sendall(data)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield "http://127.0.0.1:%d" % listener.getsockname()[1]
    finally:
        listener.close()
    if not broken or broken != resumed:
        raise SystemExit(f"broken: {broken}, resumed: {resumed}")


@contextlib.contextmanager
def offline() -> Iterator[dict[str, str]]:
    """Variables that send requests for other hosts to a proxy that answers none. There must be no such requests."""
    asked: list[bytes] = []

    class Refusal(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusal) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        address = "http://127.0.0.1:%d" % proxy.server_address[1]
        try:
            yield {"http_proxy": address, "https_proxy": address, "all_proxy": address, "no_proxy": "127.0.0.1"}
        finally:
            proxy.shutdown()
    if asked:
        raise SystemExit(f"asked of other hosts: {asked}")


def run(python: str, checks: str, address: str, *, endpoint: str | None = None, **environment: str) -> None:
    """Runs client.py with its own empty cache."""
    with tempfile.TemporaryDirectory() as home, offline() as proxies:
        kept = {
            name: value for name, value in os.environ.items()
            if not name.startswith(("HF_", "HUGGING")) and not name.lower().endswith("_proxy")
        }
        added = {
            "SERVICE": address, "HF_ENDPOINT": endpoint or address, "HF_HOME": home, "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error",
            "MKL_CBWR": "COMPATIBLE", "OMP_NUM_THREADS": "1",
        }
        begun = time.monotonic()
        subprocess.run([python, HERE / "client.py", checks], env=kept | added | proxies | environment, check=True, timeout=300)
        print(f"check_hub: {checks}: {time.monotonic() - begun:.1f} s", flush=True)


def main() -> None:
    program, *pythons = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        own = pathlib.Path(directory, "models", "acme", "own")
        own.mkdir(parents=True)
        (own / "init.json").write_text(json.dumps(OWN))
        (own / "tokenizer.model").write_bytes(bytes(range(256)) * 5000)
        tokens = pathlib.Path(directory, "tokens")
        tokens.write_text(TOKEN + "\n")
        models = ("--models", str(own.parent.parent))
        for python in pythons:
            with service(program, *models) as address:
                run(python, "files", address)
                run(python, "whole", address)
                with breaking_proxy(address) as proxy:
                    run(python, "resumed", address, endpoint=proxy)
            with service(program, "--token-file", str(tokens), "--max-shard-bytes", "100000") as address:
                run(python, "refused", address)
                run(python, "refused", address, HF_TOKEN=TOKEN[:-1])
                run(python, "token", address, TOKEN=TOKEN)
                run(python, "shards", address, HF_TOKEN=TOKEN)
    print(f"check_hub: {len(pythons)} sets of clients")


if __name__ == "__main__":
    main()
