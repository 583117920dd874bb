#!/usr/bin/env python3
"""Attacks the service as strangers on the network could, and checks each answer.

    python3 attacks.py path/to/weight-init [words]     only attacks whose sentence holds the words

An attack is a sentence that says what must hold, and a function that sends data. After each attack, all threads of the
service must answer a small request. Attacks do not measure speed: a missing answer counts as a hang after
`wire.PATIENCE` seconds, a thousand times as long as an answer takes on a free machine. Needs Python, curl, openssl,
prlimit and readelf. Exits with 0 if every attack is withstood.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse

import costly
from wire import PATIENCE, Hang, Service, eventually, get, head, post

ATTACKS = []


def attack(sentence, *options, **how):
    """Adds the decorated function to the list; the function gets a service that runs with these options.

    `chances` is the number of tries: more than one if other programs on the machine can upset the timing.
    """

    def add(function):
        ATTACKS.append((sentence, options, how, function))
        return function

    return add


def standalone(sentence, **how):
    """Adds the decorated function to the list; the function gets the program's path and starts the program itself."""
    return attack(sentence, starts=False, **how)


def statuses(service, data):
    """The statuses of all heads in the answer to the data and one more request."""
    with service.connect() as connection:
        connection.send(data + get("/livez", "Connection: close"))
        return [int(status) for status in re.findall(rb"HTTP/1\.[01] ([2-5]\d\d)", connection.rest())]


def explain(service, request):
    return service.ask(post("/explain", json.dumps(request)))


def expect(reply, status, *words):
    assert reply.status == status, f"expected {status}, not {reply}"
    assert reply.is_whole, f"the body ended early: {reply}"
    for word in words:
        assert word.encode() in reply.body, f"nothing says {word!r}: {reply}"
    return reply


def safetensors_header(body):
    length = int.from_bytes(body[:8], "little")
    return json.loads(body[8 : 8 + length])


# Text is compared by bytes, at linear cost.

ACUTE, BELOW, KELVIN = "\u0301", "\u0323", "\u212a"
COMPOSED, DECOMPOSED = "\u00e9", "e" + ACUTE


def marks(count):
    """Text whose canonical order is costly to find: combining marks of two classes in the wrong order."""
    return "a" + ACUTE * count + BELOW * count


def long_texts():
    """Requests with a long text in each place that takes one."""
    text = marks(30_000)
    zeros = {"method": "zeros", "shape": [1]}
    layer = {"type": "Linear", "in_features": 1, "out_features": 1}
    yield "the name of a tensor", {"tensors": [{**zeros, "name": text}]}
    yield "the names of two tensors", {"tensors": [{**zeros, "name": text[:50_000]}, {**zeros, "name": text[:50_001]}]}
    yield "the name of a layer", {"layers": [{**layer, "name": text}]}
    yield "a method", {"method": text, "shape": [1]}
    yield "a type of layer", {"layer": {"type": text}}
    yield "a member", {"method": "zeros", "shape": [1], text: 1}
    yield "two members", {"method": "zeros", text[:50_000]: 1, text[:50_001]: 1}
    yield "a pattern of a rule", {"layers": [layer], "rules": [{"name": text, "method": "zeros"}]}
    yield "a tie", {"layers": [layer], "tie": {text: "0.weight"}}
    yield "the target of a tie", {"layers": [layer], "tie": {"a": text}}
    yield "a slice", {"layers": [layer], "slices": {text: "0:1"}}
    yield "a value", {"layer": {**layer, "bias": text}}
    yield "a seed", {"method": "zeros", "shape": [1], "seed": text}
    yield "a shape", {"method": "zeros", "shape": text}


for place, request in long_texts():

    @attack(f"A text of 100 KB of combining marks as {place} is answered at once")
    def long_text(service, request=request):
        text = json.dumps(request, ensure_ascii=False)
        # Eight connections, so that each thread has some, and then a ninth.
        connections = [service.connect() for _ in range(8)]
        for connection in connections:
            connection.send(post("/explain", text))
        service.check()
        for connection in connections:
            reply = connection.reply()
            assert reply.status in (200, 400, 413, 422), reply
            connection.socket.close()


SPELLINGS = [("\u00e9 and e with an accent", COMPOSED, DECOMPOSED), ("K and KELVIN SIGN", "K", KELVIN)]

for who, one, other in SPELLINGS:
    layers = [{"type": "Linear", "in_features": 2, "out_features": 2, "name": name} for name in (one, other)]

    @attack(f"Layers named {who} are two layers")
    def two_layers(service, layers=layers, one=one, other=other):
        reply = expect(service.ask(post("/init", json.dumps({"layers": layers, "format": "safetensors"}))), 200)
        names = set(safetensors_header(reply.body)) - {"__metadata__"}
        assert names == {f"{name}.{part}" for name in (one, other) for part in ("weight", "bias")}, names

    @attack(f"A tie to a name in another spelling is refused: {who}")
    def other_tie(service, layers=layers, one=one, other=other):
        request = {"layers": [layers[0], layers[1] | {"name": "head"}], "tie": {"head.weight": f"{other}.weight"}}
        reply = explain(service, request)
        assert reply.status in (400, 422), reply

    @attack(f"Slices for two spellings are independent: {who}")
    def two_slices(service, layers=layers, one=one, other=other):
        slices = {f"{one}.weight": "0:1,0:1", f"{other}.weight": "0:1,0:2"}
        reply = expect(explain(service, {"layers": layers, "slices": slices}), 200)
        shapes = {tensor["name"]: tensor["shape"] for tensor in json.loads(reply.body)["tensors"]}
        assert (shapes[f"{one}.weight"], shapes[f"{other}.weight"]) == ([1, 1], [1, 2]), shapes

    @attack(f"A rule for one spelling does not apply to the other: {who}")
    def one_rule(service, layers=layers, one=one, other=other):
        rules = [{"name": f"{other}.weight", "method": "ones"}]
        reply = expect(service.ask(post("/init", json.dumps({"layers": layers, "rules": rules}))), 200)
        data = {tensor["name"]: tensor["data"] for tensor in json.loads(reply.body)["tensors"]}
        assert data[f"{other}.weight"] == [[1, 1], [1, 1]] != data[f"{one}.weight"], data


@attack("Transfer-Encoding: chun\u212aed, with a KELVIN SIGN, is refused")
def kelvin_chunked(service):
    reply = service.ask(head("POST /gain", f"Transfer-Encoding: chun{KELVIN}ed") + b"2\r\n{}\r\n0\r\n\r\n")
    assert reply.status in (400, 501), reply


@standalone("A look-alike of a token or an origin with a KELVIN SIGN is refused")
def kelvin_fields(program):
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("K1234567890\n")
        file.flush()
        with Service(program, "--token-file", file.name, "--cors-origin", "https://k.example") as service:
            for token, status in (("K1234567890", 200), (f"{KELVIN}1234567890", 401), ("k1234567890", 401)):
                reply = service.ask(head("GET /gain", f"Authorization: Bearer {token}"))
                assert reply.status == status, (token, reply)
            for origin, allowed in (("https://k.example", True), (f"https://{KELVIN}.example", False)):
                reply = service.ask(head("GET /livez", f"Origin: {origin}"))
                assert ("access-control-allow-origin" in reply.fields) == allowed, (origin, reply.fields)


@attack("A look-alike of a member with a KELVIN SIGN is unknown")
def kelvin_member(service):
    request = {"type": "Conv2d", "in_channels": 1, "out_channels": 1, f"{KELVIN}ernel_size": 1}
    expect(explain(service, {"layer": request}), 400)
    expect(service.ask(get(f"/gain?nonlinearity=relu&{urllib.parse.quote(KELVIN)}=1")), 400)


# HTTP/1.0.

JSON_TARGET = "/init?method=normal&shape=300,300"


@attack("A body of unknown length over HTTP/1.0 arrives whole and ends with the connection")
def http_1_0(service):
    whole = service.ask(get(JSON_TARGET)).body
    for fields in ("", "Connection: keep-alive\r\n", "Host: a\r\nConnection: close\r\n"):
        reply = service.ask(f"GET {JSON_TARGET} HTTP/1.0\r\n{fields}\r\n".encode())
        assert "transfer-encoding" not in reply.fields, reply.fields
        expect(reply, 200)
        assert reply.body == whole, f"{len(reply.body)} bytes instead of {len(whole)}"


@attack("No thread spins after HTTP/1.0 clients have left in the middle of a body")
def http_1_0_left(service):
    for _ in range(4):
        with service.connect() as connection:
            connection.send(f"GET {JSON_TARGET} HTTP/1.0\r\n\r\n".encode())
            connection.fill()
    eventually(lambda: idle(service), "the process rests")


def processor_time(service):
    """Seconds of a processor that the process has used."""
    fields = pathlib.Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(service):
    """True if the process uses hardly any processor time."""
    before = processor_time(service)
    time.sleep(0.3)
    return processor_time(service) - before < 0.035


@attack("HTTP/1.0 gets heads and short bodies as before")
def http_1_0_short(service):
    reply = service.ask(b"HEAD /init?method=normal&shape=300,300 HTTP/1.0\r\n\r\n", is_head=True)
    assert reply.status == 200, reply
    expect(service.ask(b"GET /gain?nonlinearity=relu HTTP/1.0\r\n\r\n"), 200, "1.4142135623730951")
    expect(service.ask(b"GET /init?method=normal&shape=9&format=raw HTTP/1.0\r\n\r\n"), 200)


# Long work does not delay other requests.

for what, path, request in costly.MODELS + costly.OTHERS[:2]:

    @attack(f"Beside {what}, eight at a time, small questions are answered first", chances=3)
    def not_behind(service, path=path, request=request):
        connections = [service.connect() for _ in range(8)]
        for connection in connections:
            connection.send(post(path, costly.body(request)))
        for target in ("/livez", "/gain?nonlinearity=relu"):
            for _ in range(4):
                expect(service.ask(get(target)), 200)
        begun = sum(connection.has_answer() for connection in connections)
        assert begun < 4, f"{begun} of the eight were answered before"
        for connection in connections:
            connection.reset()


@attack("Work ends with its last client", "--log-level", "critical")
def abandoned(service):
    for what, path, request in costly.WORK:
        with service.connect() as connection:
            connection.send(post(path, costly.body(request)))
            eventually(lambda: service.metric("weight_init_work_running") >= 1, f"{what} is worked on")
            # The longest part of the work comes after its first numbers.
            time.sleep(0.5)
            connection.reset()
        before = processor_time(service)
        eventually(lambda: service.metric("weight_init_work_running") == 0, f"{what} is given up")
        eventually(lambda: idle(service), f"no thread works on {what}")
        # Processor time, so that other programs do not count.
        used = processor_time(service) - before
        assert used < 3, f"{what} took {used:.1f} s after its client had left"


@attack("Short work does not wait for long work")
def lanes(service):
    with service.connect() as long:
        long.send(post("/init", json.dumps({"method": "normal", "shape": [1 << 32], "format": "summary"})))
        eventually(lambda: service.metric("weight_init_work_running") >= 1, "the summary is worked on")
        expect(service.ask(get("/init?method=orthogonal&shape=8,8&format=raw")), 200)
        assert not long.has_answer()
        long.reset()


def unread(data):
    """Sends a request and reads nothing of the reply."""
    return lambda service: [sent(service.connect(receive_buffer=4096), data)]


def sent(connection, data):
    connection.send(data)
    return connection


UNDER_WAY = [(what, unread(post(path, costly.body(request)))) for what, path, request in costly.EVERY] + [
    ("a download that nobody reads", unread(get("/init?method=normal&shape=268435456&format=raw"))),
    ("JSON that nobody reads", unread(get("/init?method=normal&shape=16777216"))),
    ("a body that does not end", unread(head("POST /init", "Content-Length: 1000000") + b" " * 1000)),
    ("a head that does not end", unread(b"GET /gain HTTP/1.1\r\nHost: a\r\n")),
    ("a hundred pieces of work that wait", lambda service: [
        sent(service.connect(), get(f"/init?method=orthogonal&shape=2048,2048&format=raw&seed={seed}")) for seed in range(100)]),
]  # fmt: skip

for what, begin in UNDER_WAY:

    @standalone(f"A drain ends at its timeout, beside {what}", chances=3)
    def drained(program, begin=begin):
        with Service(program, "--drain-timeout", "1") as service:
            connections = begin(service)
            time.sleep(0.3)
            service.terminate()
            try:
                status = service.process.wait(timeout=4)
            except subprocess.TimeoutExpired:
                raise Hang("the process goes on 3 s after its drain has ended") from None
            finally:
                for connection in connections:
                    connection.socket.close()
            assert status == 0, f"it ended with {status}"


@attack("A body that arrives a byte at a time is cut off", "--receive-timeout", "3600")
def slow_body(service):
    with service.connect(patience=0.2) as connection:
        connection.send(head("POST /gain", "Content-Type: application/json", "Content-Length: 100000"))
        for _ in range(100):
            try:
                connection.send(b" ")
                connection.fill()
                break
            except Hang:
                continue
            except ConnectionError:
                break
        expect(connection.reply(), 408, "--min-receive-rate")


# One entity tag, one body.

HOSTS = [
    ("the portable kernels", {"WEIGHT_INIT_KERNEL": "portable"}),
    ("the kernels for AVX2", {"WEIGHT_INIT_KERNEL": "avx2"}),
    ("a C library that takes the processor for one without FMA", {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2,-AVX2_Usable,-FMA_Usable"}),
]  # fmt: skip

@standalone("A C library without FMA is reported at the start and by verify")
def without_fma(program):
    variables = dict(HOSTS)["a C library that takes the processor for one without FMA"]
    with Service(program) as here, Service(program, environment=os.environ | variables) as there:
        here.check()
        there.check()
        assert "other hosts" in there.said() and "other hosts" not in here.said(), there.said()
    plain, other = (
        subprocess.run([program, "verify"], capture_output=True, text=True, env=os.environ | more).stdout for more in ({}, variables)
    )
    assert "other hosts" in other and "other hosts" not in plain, other


METHODS = [
    *("uniform normal trunc_normal xavier_uniform xavier_normal kaiming_uniform kaiming_normal".split()),
    *("orthogonal sparse&sparsity=0.3 eye ones".split()),
]

for who, variables in HOSTS:

    @standalone(f"The same entity tag has the same body on a host with {who}")
    def one_body(program, variables=variables):
        with Service(program) as here, Service(program, environment=os.environ | variables) as there:
            for method in METHODS:
                for dtype in ("float32", "float64", "float16", "bfloat16"):
                    for shape in ("3,5", "70,60", "300,7"):
                        target = f"/init?method={method}&shape={shape}&dtype={dtype}&seed=3&format=raw"
                        one, other = (service.ask(get(target)) for service in (here, there))
                        assert one.status == other.status, (target, one.status, other.status)
                        if one.status == 200 and one.fields["etag"] == other.fields["etag"]:
                            assert one.body == other.body, f"{target}: one tag and two bodies"


# Too little memory.

for megabytes in (300, 400, 500):

    @standalone(f"With {megabytes} MB of address space, large models get an answer, and the process survives")
    def scarce(program, megabytes=megabytes):
        with Service(program, before=["prlimit", f"--as={megabytes << 20}"]) as service:
            for what, path, request in costly.MODELS:
                connections = [service.connect() for _ in range(4)]
                for connection in connections:
                    connection.send(post(path, costly.body(request)))
                for connection in connections:
                    reply = connection.reply()
                    assert reply.status in (200, 413, 503), (what, reply)
                    connection.socket.close()
                service.check()


@standalone("An endless file of tokens is refused in a sentence")
def endless_tokens(program):
    command = ["prlimit", f"--as={2 << 30}", program, "serve", "--port", "0", "--token-file", "/dev/zero"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode not in (0, -signal.SIGABRT, -signal.SIGTRAP, -signal.SIGILL, -signal.SIGSEGV), ended.returncode
    assert "/dev/zero" in ended.stderr and len(ended.stderr.splitlines()) <= 3, ended.stderr[-400:]


# Requests that two readers could understand differently.

LENGTHS = (
    "-1 +5 5,5 5,6 0x5 5. 5e0 05x ٥ 18446744073709551616 18446744073709551615 99999999999999999999999 - + , ;"
    " 5;5 1_0 NaN 1.0 '5' \"5\" ² ５"
).split() + ["", " ", "5 5", "5\t5", "\t", "5, 5", "4 ,5"]

for length in LENGTHS:

    @attack(f"Content-Length: {length!r} is refused once, and nothing after it is read as a request")
    def odd_length(service, length=length):
        for method in ("POST", "GET", "DELETE"):
            with service.connect() as connection:
                connection.send(head(f"{method} /gain", f"Content-Length: {length}") + get("/livez"))
                reply = expect(connection.reply(), 413 if length.isdecimal() and length.isascii() else 400, '"detail"')
                assert reply.fields["connection"] == "close" and reply.fields["x-content-type-options"] == "nosniff", reply.fields
                assert connection.rest() == b"", "something follows the refusal"


CHUNKS = [
    ("a bare LF after the size", b"2\n{}\r\n0\r\n\r\n"),
    ("a bare LF after the data", b"2\r\n{}\n0\r\n\r\n"),
    ("a bare LF at the end", b"2\r\n{}\r\n0\n\n"),
    ("a semicolon and nothing", b"2;\r\n{}\r\n0\r\n\r\n"),
    ("a bare CR in an extension", b"2;a=\rb\r\n{}\r\n0\r\n\r\n"),
    ("an open quote in an extension", b'2;a="b\r\n{}\r\n0\r\n\r\n'),
    ("a folded trailer", b"2\r\n{}\r\n0\r\nA: b\r\n c\r\n\r\n"),
    ("a space before the size", b" 2\r\n{}\r\n0\r\n\r\n"),
    ("a negative size", b"-2\r\n{}\r\n0\r\n\r\n"),
    ("a size with a prefix", b"0x2\r\n{}\r\n0\r\n\r\n"),
    ("a size over 64 bits", b"10000000000000002\r\n{}\r\n0\r\n\r\n"),
    ("no size", b"\r\n{}\r\n0\r\n\r\n"),
]

for what, body in CHUNKS:

    @attack(f"A body in chunks with {what} is refused or read unchanged: one response for each request")
    def odd_chunks(service, body=body):
        json_chunks = head("POST /gain", "Content-Type: application/json", "Transfer-Encoding: chunked")
        found = statuses(service, json_chunks + body)
        assert found == [200, 200] or (len(found) == 1 and 400 <= found[0] < 500), found


REFUSED = [
    ("a Host with a port in letters", head("GET /gain", host="a:x"), 400),
    ("a Host with a port over 65535", head("GET /gain", host="a:99999"), 400),
    ("a Host with an open bracket", head("GET /gain", host="[::1"), 400),
    ("a Host with text behind its bracket", head("GET /gain", host="[::1]x"), 400),
    ("an empty port in a Host with text before", head("GET /gain", host="a:1:2"), 400),
    ("two Hosts", head("GET /gain", "Host: b"), 400),
    ("no Host", b"GET /gain HTTP/1.1\r\n\r\n", 400),
    ("two lengths", head("POST /gain", "Content-Length: 2", "Content-Length: 3") + b"{}", 400),
    ("a length and chunks", head("POST /gain", "Content-Length: 2", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    ("an unknown coding", head("POST /gain", "Transfer-Encoding: gzip"), 400),
    ("an expectation that is not known", head("POST /gain", "Expect: tea", "Content-Length: 2") + b"{}", 417),
    ("a body over the limit", head("POST /gain", "Content-Length: 99999999"), 413),
    ("a range past the end", get("/init?method=ones&shape=4&format=raw", "Range: bytes=16-"), 416),
    ("another tag in If-Match", get("/init?method=ones&shape=4&format=raw", 'If-Match: "x"'), 412),
]  # fmt: skip

for what, data, status in REFUSED:

    @attack(f"Refused with {status}: {what}")
    def refused(service, data=data, status=status):
        expect(service.ask(data), status, '"detail"')


@attack("A range of a body whose entity tag has changed gets the whole body")
def changed(service):
    target = "/init?method=ones&shape=4&format=raw"
    tag = service.ask(get(target)).fields["etag"]
    for other in ('"x"', f"W/{tag}", "Sun, 06 Nov 1994 08:49:37 GMT"):
        reply = service.ask(get(target, "Range: bytes=0-3", f"If-Range: {other}"))
        assert reply.status == 200 and len(reply.body) == 16, (other, reply)
    assert service.ask(get(target, "Range: bytes=0-3", f"If-Range: {tag}")).status == 206


for what, coding, empty, body in [
    ("chunks", "Transfer-Encoding: chunked", b"0\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
    ("a length", "Content-Length: 2", None, b"{}"),
]:

    @attack(f"The cached reply to a GET does not answer the same head with a body: {what}")
    def primed(service, coding=coding, empty=empty, body=body):
        target = "/gain?nonlinearity=tanh"
        if empty is not None:
            for _ in range(4):
                service.ask(head(f"GET {target}", coding) + empty)
        for _ in range(3):
            with service.connect() as connection:
                connection.send(head(f"GET {target}", coding) + body)
                first = connection.reply()
                assert first.status in (200, 400, 413, 415) and first.is_whole, first
                if first.fields.get("connection") != "close":
                    connection.send(get("/gain?nonlinearity=relu"))
                    expect(connection.reply(), 200, "1.4142135623730951")


# Every reply.

REPLIES = [
    (200, get("/gain")), (200, get("/")), (200, get("/metrics")), (200, get("/livez")), (200, get("/openapi.yaml")),
    (200, get("/init?method=ones&shape=9&format=raw")), (206, get("/init?method=ones&shape=9&format=raw", "Range: bytes=0-3")),
    (200, get(JSON_TARGET)), (200, get("/init?method=orthogonal&shape=8,8&format=raw")), (304, get("/gain", "If-None-Match: *")),
    (400, get("/gain?a=b")), (404, get("/nothing")), (405, head("DELETE /gain")), (406, get("/gain", "Accept: text/html")),
    (412, get("/init?method=ones&shape=4&format=raw", 'If-Match: "x"')), (413, get("/init?method=normal&shape=99999999999999")),
    (416, get("/init?method=ones&shape=4&format=raw", "Range: bytes=16-")), (400, b"GET /gain HTTP/1.1\r\n\r\n"),
    (204, head("OPTIONS /gain")),
]  # fmt: skip


@attack("Every reply has X-Content-Type-Options: nosniff")
def nosniff(service):
    for status, data in REPLIES:
        # The second and third replies come from the reply cache.
        for _ in range(3):
            reply = service.ask(data)
            assert reply.status == status, (data, reply)
            assert reply.fields.get("x-content-type-options") == "nosniff", (data, reply.fields)


# Arguments that PyTorch refuses or accepts.

IMPOSSIBLE = [
    {"type": "FractionalMaxPool2d", "kernel_size": 2, "output_ratio": [0.5, 1.5]},
    {"type": "Unflatten", "dim": 1, "unflattened_size": 5},
    {"type": "Upsample", "scale_factor": "x"},
    {"type": "Dropout", "p": None},
]
DEFAULTS = [
    {"type": "Linear", "in_features": 1, "out_features": 1, "device": None, "dtype": None},
    {"type": "Linear", "in_features": 1, "out_features": 1, "bias": None},
    {"type": "Embedding", "num_embeddings": 2, "embedding_dim": 1, "_weight": None, "_freeze": False},
    {"type": "SyncBatchNorm", "num_features": 1, "process_group": None},
    {"type": "Transformer", "d_model": 2, "nhead": 1, "dim_feedforward": 1, "custom_encoder": None, "custom_decoder": None},
]

for layer in IMPOSSIBLE:

    @attack(f"A layer that PyTorch refuses is refused: {json.dumps(layer)}")
    def impossible(service, layer=layer):
        reply = explain(service, {"layers": [layer, {"type": "Linear", "in_features": 1, "out_features": 1}]})
        assert reply.status in (400, 422), reply


for layer in DEFAULTS:

    @attack(f"PyTorch's default is accepted: {json.dumps(layer)}")
    def default(service, layer=layer):
        expect(explain(service, {"layer": layer}), 200)


for alias in ("seed", "profile", "request", "format"):

    @attack(f"A tie with the alias {alias} is kept or refused")
    def tied(service, alias=alias):
        tensors = [{"name": name, "method": "ones", "shape": [2]} for name in ("a", alias)]
        request = {"tensors": tensors, "tie": {alias: "a"}, "format": "safetensors"}
        reply = service.ask(post("/init", json.dumps(request)))
        if reply.status == 200:
            header = safetensors_header(reply.body)
            assert header["__metadata__"].get(alias) == "a" or alias in header, header
        else:
            expect(reply, 422, alias)


# The process itself.


@standalone("If the program starts with closed standard streams, no socket takes their place")
def closed_descriptors(program):
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "socket"
        command = ["sh", "-c", 'exec "$0" "$@" 0<&- 1>&- 2>&-', program, "serve", "--unix-socket", str(path)]
        process = subprocess.Popen(command)
        try:
            eventually(path.exists, "it listens")
            for number in (0, 1, 2):
                link = os.readlink(f"/proc/{process.pid}/fd/{number}")
                assert link == "/dev/null", f"descriptor {number} is {link}"
        finally:
            process.kill()
            process.wait()


@standalone("The program is linked without RUNPATH, with all symbols bound at the start, and its C parts are fortified")
def linked(program):
    dynamic = subprocess.run(["readelf", "--dynamic", "--wide", program], capture_output=True, text=True, check=True).stdout
    assert "RUNPATH" not in dynamic and "RPATH" not in dynamic, re.findall(r".*R(?:UN)?PATH.*", dynamic)
    assert re.search(r"BIND_NOW|\bNOW\b", dynamic), "bound lazily"
    segments = subprocess.run(["readelf", "--segments", "--wide", program], capture_output=True, text=True, check=True).stdout
    assert "GNU_RELRO" in segments
    symbols = subprocess.run(["readelf", "--dyn-syms", "--wide", program], capture_output=True, text=True, check=True).stdout
    assert "_chk@" in symbols, "no function of the fortified kind is called"


@contextlib.contextmanager
def encrypted(program):
    """A service that speaks TLS, and a function that connects to it."""
    with tempfile.TemporaryDirectory() as directory:
        key, certificate = f"{directory}/key.pem", f"{directory}/certificate.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True,
        )  # fmt: skip
        with Service(program, "--tls-certificate", certificate, "--tls-key", key) as service:

            def connects(*options):
                command = ["openssl", "s_client", "-connect", f"127.0.0.1:{service.port}", *options]
                done = subprocess.run(command, input=b"", capture_output=True, timeout=PATIENCE)
                return b"Cipher is (NONE)" not in done.stdout and done.returncode == 0

            yield service, connects


@standalone("TLS 1.2 accepts no cipher suite with CBC")
def suites(program):
    with encrypted(program) as (_, connects):
        assert connects("-tls1_3") and connects("-tls1_2"), "no TLS"
        for suite in ("ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-AES128-SHA256"):
            assert not connects("-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0"), f"{suite} is accepted"


@standalone("Certificates that SIGHUP replaces are freed")
def replaced(program):
    with encrypted(program) as (service, connects):

        def reload(times):
            for _ in range(times):
                service.terminate([signal.SIGHUP])
                time.sleep(0.005)
            assert connects("-tls1_3"), "it does not answer after SIGHUP"
            return service.status("VmRSS")

        early = reload(100)
        late = reload(500)
        assert late - early < 1024, f"{late - early} KiB more after 500 certificates"


def run(program, sentence, options, how, function):
    """The fault found in the last try, or None."""
    for _ in range(how.get("chances", 1)):
        fault = tried(program, options, how, function)
        if fault is None:
            break
    return fault


def tried(program, options, how, function):
    """The fault found, or None."""
    try:
        if how.get("starts", True):
            with Service(program, *options) as service:
                function(service)
                service.check()
        else:
            function(program)
    except (AssertionError, OSError, ValueError, KeyError, IndexError, subprocess.SubprocessError) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({pathlib.Path(place.filename).name}:{place.lineno})"[:600]


def main():
    program, words = sys.argv[1], " ".join(sys.argv[2:])
    chosen = [each for each in ATTACKS if words in each[0]]
    faults = 0
    for each in chosen:
        fault = run(program, *each)
        faults += fault is not None
        print(f"attacks: {'withstood' if fault is None else 'FAILED'}: {each[0]}" + (f"\n    {fault}" if fault else ""), flush=True)
    print(f"attacks: {len(chosen) - faults} of {len(chosen)} withstood")
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
