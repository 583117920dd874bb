"""A service for the client's tests: the interpreter behind HTTP, with faults on demand."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch

from weight_init import RequestError, __version__, interpret
from weight_init.blocks import parsed
from weight_init.literals import DTYPE_NAMES, raw_bytes
from weight_init.safetensors import NAMES

_LETTERS = {name: letters for letters, name in NAMES.items()}


def file(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> bytes:
    """A safetensors file."""
    header: dict[str, Any] = {"__metadata__": metadata}
    data = b""
    for name, tensor in sorted(tensors.items(), key=lambda pair: -pair[1].element_size()):
        raw = raw_bytes(tensor)
        header[name] = {"dtype": _LETTERS[DTYPE_NAMES[tensor.dtype]], "shape": list(tensor.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


class StandIn:
    """Serves on a free port of this machine until the ``with`` block ends."""

    def __init__(
        self, token: str | None = None, profile: str = "torch-2.13", version: str | None = __version__,
        certificate: Path | None = None,
    ) -> None:
        self.token, self.profile, self.version = token, profile, version
        #: Bytes of a body after which the next connections break, one for each.
        self.breaks: list[int] = []
        #: Statuses of the next replies.
        self.refusals: list[int] = []
        #: Statuses of replies to requests that include a name.
        self.refuses: dict[str, int] = {}
        #: Bytes by which Content-Length exceeds the body.
        self.excess = 0
        #: A number added to seeds, to imitate a service with other bits.
        self.shift = 0
        #: The member ``errors`` of the next replies' problem documents, whose status is 400.
        self.errors: list[list[dict[str, Any]]] = []
        #: Requests of the catalogue, by names.
        self.models: dict[str, dict[str, Any]] = {}
        #: A reply to /init waits for this event after its first bytes.
        self.gate: threading.Event | None = None
        #: Closes connections after each reply without announcing it.
        self.hangs_up = False
        self.connections = 0
        #: Paths of GET requests.
        self.read: list[str] = []
        #: Requests to /init.
        self.requests: list[dict[str, Any]] = []
        self.sent = 0
        lock = self.lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                with lock:
                    owner.connections += 1

            def do_GET(self) -> None:
                with lock:
                    owner.read.append(self.path)
                if owner.token is not None and self.headers.get("Authorization") != f"Bearer {owner.token}":
                    return self.problem(401, "a bearer token is missing or wrong")
                if self.path == "/version" and owner.version is not None:
                    return self.document({"version": owner.version, "profile": owner.profile})
                if self.path == "/models":
                    return self.document({"profile": owner.profile, "models": [owner.listed(name) for name in sorted(owner.models)]})
                request = owner.models.get(self.path.removesuffix("/resolve/main/init.json").lstrip("/"))
                if request is None:
                    return self.problem(404, "there is no such model")
                self.document(request)

            def document(self, value: Any, status: int = 200) -> None:
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if owner.token is not None and self.headers.get("Authorization") != f"Bearer {owner.token}":
                    return self.problem(401, "a bearer token is missing or wrong")
                with lock:
                    refusal = owner.refusals.pop(0) if owner.refusals else None
                    limit = owner.breaks.pop(0) if owner.breaks and self.path == "/init" else None
                if refusal is not None:
                    return self.problem(refusal, "no more than that")
                request = json.loads(body)
                for name, status in owner.refuses.items():
                    if name in request.get("include", ()):
                        return self.problem(status, "no more than that")
                format = request.pop("format", "json")
                with lock:
                    if self.path == "/init":
                        owner.requests.append(dict(request))
                    if owner.errors:
                        return self.document({"title": "no", "status": 400, "errors": owner.errors.pop(0)}, 400)
                    slices = request.pop("slices", {})
                    try:
                        made = interpret(request, request["seed"] + owner.shift)
                    except RequestError as error:
                        return self.problem(400, error.reason, error.pointer)
                for index, pattern in enumerate(request.get("include", ())):
                    if not any(fnmatch.fnmatchcase(name, pattern) for name in made):
                        return self.problem(400, "matches no tensor", f"/include/{index}")
                ties = {n: t for n, t in request.get("tie", {}).items() if t in made}
                made = {n: t[parsed(slices[n], t.shape)] if n in slices else t for n, t in made.items() if n not in ties}
                if self.path == "/explain":
                    tensors: list[dict[str, Any]] = [
                        {"name": n, "shape": list(t.shape), "dtype": DTYPE_NAMES[t.dtype]} for n, t in made.items()
                    ]
                    data, limit = json.dumps({"tensors": tensors, "tie": ties}).encode(), None
                elif format == "summary":
                    tensors = [{"name": n, "sha256": hashlib.sha256(raw_bytes(t)).hexdigest()} for n, t in made.items()]
                    data = json.dumps({"tensors": tensors}).encode()
                else:
                    assert self.path == "/init" and format == "safetensors"
                    data = file(made, {"profile": owner.profile, **ties})
                self.send_response(200)
                self.send_header("Content-Length", str(len(data) + owner.excess))
                self.end_headers()
                with lock:
                    owner.sent += len(data[:limit])
                if owner.gate is not None and self.path == "/init":
                    self.wfile.write(data[:1])
                    owner.gate.wait(timeout=120)
                    data = data[1:]
                try:
                    self.wfile.write(data[:limit])
                except ConnectionError:
                    return  # the client has gone
                self.close_connection |= owner.hangs_up
                if limit is not None:
                    self.wfile.flush()
                    self.connection.close()
                    self.close_connection = True

            def problem(self, status: int, detail: str, pointer: str = "") -> None:
                self.document({"title": "no", "status": status, "detail": detail, "errors": [{"pointer": pointer, "detail": detail}]}, status)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    def listed(self, name: str) -> dict[str, Any]:
        """A model in the catalogue's list, with a member that this package does not know."""
        made = interpret(self.models[name], 0)
        return {"name": name, "description": f"{name} for tests", "tensors": len(made), "parameters": sum(t.numel() for t in made.values()),
                "bytes": sum(t.nbytes for t in made.values()), "files": ["init.json"], "since": "tomorrow"}

    def __enter__(self) -> StandIn:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
