#!/usr/bin/env python3
"""Measures the service against its peers and writes RESULTS.md.

    python3 Benchmarks/bench.py                    everything, about 25 minutes
    python3 Benchmarks/bench.py --only small,json  these sections; the others keep what they had
    python3 Benchmarks/bench.py --report           only writes RESULTS.md again
    python3 Benchmarks/bench.py --quick            two minutes for developers; prints, and writes nothing
    python3 Benchmarks/bench.py --image image.tar  the image's size from an archive of `docker save`

Compared programs run alternately, A B A B, on the same machine in the same minute: figures change from hour to hour,
ratios hardly. A server, or a computation in process, runs on the first processor, its client on the last, unless a
section says otherwise. Results of sections are kept in .results/, so that an interrupted run can be resumed.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import figures
import report
from harness import CLIENT_CPU, SERVER_CPU, Line, Server, client, command, free_port, processor_seconds, status_kib, torch_python
import harness

sys.path.insert(0, str(harness.ROOT / "Tests/attacks"))
import costly

HERE = Path(__file__).resolve().parent
GIB = 1 << 30
GAIN = "/gain?nonlinearity=leaky_relu&param=0.2"
SMALL_TENSOR = "/init?method=kaiming_normal&shape=64,64&seed=42&format=raw"
# Each request has a different seed, which peers/net.c counts up.
NEW_TENSOR = SMALL_TENSOR.replace("seed=42", "seed={}")


NEW_GAIN = "/gain?nonlinearity=leaky_relu&param=0.{}"
PROBES = ("/livez", NEW_GAIN)


def raw(method, elements):
    return f"/init?method={method}&shape={elements}&seed=42&format=raw"


def interleave(rounds, **measures):
    """Medians of the functions' results; each function is called once per round, in turn."""
    values = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            values[name].append(measure())
    return {name: statistics.median(each) for name, each in values.items()}


def row(what, ours, peer, ratio, target, unit, smaller_is_better=False, note=""):
    reached = None if target is None else (ratio <= target if smaller_is_better else ratio >= target)
    return {
        "what": what, "ours": ours, "peer": peer, "ratio": ratio, "target": target, "unit": unit,
        "smaller": smaller_is_better, "reached": reached, "note": note,
    }  # fmt: skip


def in_process(kernel=None, cpus=(SERVER_CPU,)):
    environment = {"WEIGHT_INIT_KERNEL": kernel} if kernel else {}
    return Line(harness.built("InProcess"), cpus=cpus, environment=environment)


def torch_calls(cpus=(SERVER_CPU,)):
    worker = Line(torch_python(), HERE / "peers/torch_calls.py", cpus=cpus)
    worker.versions = json.loads(worker.read())
    return worker


def weight_init(*options, cpus=(SERVER_CPU,)):
    port = free_port()
    return Server([harness.binary(), "serve", "--port", str(port), *options], port, cpus=cpus)


def weight_init_at(path):
    return Server([harness.binary(), "serve", "--unix-socket", path], path, cpus=(SERVER_CPU,))


# Sections


def bare_tcp(*method):
    """A sender without HTTP, which sends the same block again and again, or the blocks of a tensor."""
    return Line(harness.compiled("net"), "send", "reno", *method, cpus=(SERVER_CPU,))


def fills(variant):
    """Generation in process, on one thread, into memory that is already allocated."""
    wide = variant == "avx512"
    n = 1 << 24
    cases = [
        ("uniform, float32, 64 MiB", f"tensor uniform float32 {n} 1", n, 10 if wide else 7.5, 21),
        ("normal, float32, 64 MiB", f"tensor normal float32 {n} 1", n, 7.5 if wide else 3.8, 21),
        ("normal, float64, 64 MiB", f"tensor normal float64 {n // 2} 1", n // 2, 1.5, 3),
        ("normal, float16, 32 MiB", f"tensor normal float16 {n} 1", n, 5, 3),
        ("normal, bfloat16, 32 MiB", f"tensor normal bfloat16 {n} 1", n, 5, 3),
        ("trunc_normal, default bounds, 16 M elements", f"tensor trunc_normal float32 {n} 1", n, 25, 3),
    ]
    rows = []
    with in_process(variant) as ours, torch_calls() as torch:
        for what, request, elements, target, rounds in cases:
            for worker in (ours, torch):
                worker.ask(request)
            taken = interleave(rounds, ours=lambda: ours.ask(request), torch=lambda: torch.ask(request))
            rates = {name: elements / seconds / 1e6 for name, seconds in taken.items()}
            rows.append(row(what, rates["ours"], rates["torch"], rates["ours"] / rates["torch"], target, "M elements/s"))
    return {"title": f"In process against PyTorch, one thread, {variant}", "peer": "torch", "rows": rows}


def threads():
    """Two threads on two processors, each seeking to its half, against two processes that make a tensor each."""
    n = 1 << 24
    both = (SERVER_CPU, CLIENT_CPU)
    request = f"tensor normal float32 {n} 1"
    with in_process(cpus=both) as ours, torch_calls() as torch, in_process() as one, in_process(cpus=(CLIENT_CPU,)) as other:

        def side_by_side():
            """Seconds for a tensor if two are made at the same time."""
            one.tell(request)
            other.tell(request)
            return max(float(one.read()), float(other.read())) / 2

        taken = interleave(
            21, ours=lambda: ours.ask(f"tensor normal float32 {n} 2"), apart=side_by_side, torch=lambda: torch.ask(request)
        )
    rates = {name: n / seconds / 1e6 for name, seconds in taken.items()}
    rows = [
        row("normal, float32, 64 MiB, against two processes", rates["ours"], rates["apart"], rates["ours"] / rates["apart"], 0.9, "M elements/s"),
        row("normal, float32, 64 MiB, against torch", rates["ours"], rates["torch"], rates["ours"] / rates["torch"], None, "M elements/s"),
    ]  # fmt: skip
    return {"title": "In process, two threads on two processors", "peer": "two processes, or torch", "rows": rows}


def orthogonal():
    """Orthogonal matrices by size, and one decomposition on two threads against two on one each."""
    shapes = [(64, 64), (256, 256), (512, 512), (1024, 1024), (2048, 2048), (4096, 4096), (4096, 512), (512, 4608)]
    rows = []
    with in_process() as ours, torch_calls() as torch:
        for height, width in shapes:
            products = height * width * min(height, width)
            rounds = 51 if products < 1 << 22 else 15 if products < 1 << 29 else 7 if products < 1 << 32 else 3
            for dtype in ("float32", "float64"):
                request = f"tensor orthogonal {dtype} {height},{width} 1"
                for worker in (ours, torch):
                    worker.ask(request)
                taken = interleave(rounds, ours=lambda: ours.ask(request), torch=lambda: torch.ask(request))
                target = 2 if (height, width, dtype) == (1024, 1024, "float32") else 1.4
                rows.append(
                    row(f"orthogonal, {height} × {width}, {dtype}", 1000 * taken["ours"], 1000 * taken["torch"],
                        taken["torch"] / taken["ours"], target, "ms")
                )  # fmt: skip
    return {"title": "Orthogonal matrices against PyTorch, one thread", "peer": "torch", "rows": rows}


def orthogonal_threads():
    """One decomposition on two threads, against two decompositions on one thread each."""
    both = (SERVER_CPU, CLIENT_CPU)
    request = "tensor orthogonal float32 2048,2048"
    with in_process(cpus=both) as ours, in_process() as one, in_process(cpus=(CLIENT_CPU,)) as other:

        def side_by_side():
            """Seconds for a matrix if two are made at the same time."""
            one.tell(f"{request} 1")
            other.tell(f"{request} 1")
            return max(float(one.read()), float(other.read())) / 2

        taken = interleave(7, ours=lambda: ours.ask(f"{request} 2"), apart=side_by_side, alone=lambda: ours.ask(f"{request} 1"))
    rows = [
        row("orthogonal, 2048 × 2048, two threads", 1000 * taken["ours"], 1000 * taken["apart"], taken["apart"] / taken["ours"], 0.85, "ms"),
        row("orthogonal, 2048 × 2048, one thread", 1000 * taken["alone"], 1000 * taken["apart"], taken["apart"] / taken["alone"], None, "ms"),
    ]  # fmt: skip
    return {"title": "One decomposition on two threads against two side by side", "peer": "two processes", "rows": rows}


def matrices():
    """Methods that need few random numbers or none."""
    cases = [
        ("constant, 64 MiB", "constant float32 16777216", None, 3),
        ("eye, 4096 × 4096", "eye float32 4096,4096", None, 3),
        ("dirac, 512 × 512 × 3 × 3", "dirac float32 512,512,3,3", None, 3),
        ("sparse, 1024 × 1024, sparsity 0.1", "sparse float32 1024,1024", None, 3),
    ]
    rows = []
    with in_process() as ours, torch_calls() as torch:
        for what, request, target, rounds in cases:
            taken = interleave(
                rounds, ours=lambda: ours.ask(f"tensor {request} 1"), torch=lambda: torch.ask(f"tensor {request} 1")
            )
            rows.append(
                row(what, 1000 * taken["ours"], 1000 * taken["torch"], taken["torch"] / taken["ours"], target, "ms")
            )
    return {"title": "Other methods against PyTorch, one thread", "peer": "torch", "rows": rows}


def sizes():
    """How cost grows with the number of elements; seeding and planning are part of it."""
    table = []
    with in_process() as ours, torch_calls() as torch:
        for exponent in range(10, 31):
            request = f"tensor normal float32 {1 << exponent} 1"
            rounds = 25 if exponent < 16 else 7 if exponent < 24 else 3 if exponent < 29 else 1
            if exponent >= 29:
                # Both at once would be 8 GiB.
                taken = {"ours": ours.ask(request)}
                ours.ask("tensor normal float32 1024 1")
                taken["torch"] = torch.ask(request)
                torch.ask("tensor normal float32 1024 1")
            else:
                for worker in (ours, torch):
                    worker.ask(request)
                taken = interleave(rounds, ours=lambda: ours.ask(request), torch=lambda: torch.ask(request))
            table.append({"exponent": exponent, **taken})
    return {"title": "Cost by size: normal, float32, in process, one thread", "sizes": table}


def bodies():
    """One body of 1 GiB over loopback: bare TCP, the service, and PyTorch without a network."""
    elements = GIB // 4
    # Bytes that must be there before a client that prefers to sleep is woken.
    fewest = 256 << 10
    with (
        bare_tcp() as bare,
        bare_tcp("uniform") as bare_uniform,
        bare_tcp("normal") as bare_normal,
        weight_init() as service,
        in_process() as alone,
        torch_calls() as torch,
    ):
        port, uniform_port, normal_port = (json.loads(each.read())["port"] for each in (bare, bare_uniform, bare_normal))

        def fetched(method, *wake):
            return client("get", service.port, raw(method, elements), *wake)["seconds"]

        fetched("uniform")
        for worker in (alone, torch):
            worker.ask(f"tensor uniform float32 {elements} 1")
        taken = interleave(
            5,
            bare=lambda: client("receive", port, GIB)["seconds"],
            uniform=lambda: fetched("uniform"),
            normal=lambda: fetched("normal"),
            bare_uniform=lambda: client("receive", uniform_port, GIB)["seconds"],
            bare_normal=lambda: client("receive", normal_port, GIB)["seconds"],
        )
        taken |= interleave(
            3,
            zeros=lambda: fetched("zeros"),
            torch_uniform=lambda: torch.ask(f"tensor uniform float32 {elements} 1"),
            again_uniform=lambda: fetched("uniform"),
            torch_normal=lambda: torch.ask(f"tensor normal float32 {elements} 1"),
            again_normal=lambda: fetched("normal"),
            late=lambda: client("receive", port, GIB, fewest)["seconds"],
            late_uniform=lambda: fetched("uniform", "", fewest),
            late_normal=lambda: fetched("normal", "", fewest),
        )
        rate = {name: GIB / seconds / 1e9 for name, seconds in taken.items()}
    rows = [
        row("uniform, share of bare TCP", rate["uniform"], rate["bare"], rate["uniform"] / rate["bare"], None, "GB/s"),
        row("normal, share of bare TCP", rate["normal"], rate["bare"], rate["normal"] / rate["bare"], None, "GB/s"),
        *(
            row(f"{method}, share of the same kernels and bare TCP", rate[method], rate[f"bare_{method}"],
                rate[method] / rate[f"bare_{method}"], 0.95, "GB/s")
            for method in ("uniform", "normal")
        ),
        row("zeros, share of bare TCP", rate["zeros"], rate["bare"], rate["zeros"] / rate["bare"], None, "GB/s"),
        row(
            "uniform fetched, against made by torch", rate["again_uniform"], rate["torch_uniform"],
            rate["again_uniform"] / rate["torch_uniform"], 4, "GB/s",
        ),
        row(
            "normal fetched, against made by torch", rate["again_normal"], rate["torch_normal"],
            rate["again_normal"] / rate["torch_normal"], 3, "GB/s",
        ),
        *(
            row(f"{method}, share of bare TCP, the client asleep until {fewest >> 10} KiB are there", rate[f"late_{method}"],
                rate["late"], rate[f"late_{method}"] / rate["late"], None, "GB/s")
            for method in ("uniform", "normal")
        ),
    ]  # fmt: skip
    return {"title": "A body of 1 GiB over loopback, congestion control reno", "peer": "bare TCP, or torch", "rows": rows}


def blocks():
    """The same body for several block sizes, against bare TCP."""
    powers = range(17, 23)
    target = raw("uniform", GIB // 4)
    with contextlib.ExitStack() as stack:
        bare = stack.enter_context(bare_tcp())
        port = json.loads(bare.read())["port"]
        services = {power: stack.enter_context(weight_init("--block-bytes", str(1 << power))) for power in powers}
        taken = interleave(
            3,
            bare=lambda: client("receive", port, GIB)["seconds"],
            **{
                str(power): (lambda service=service: client("get", service.port, target)["seconds"])
                for power, service in services.items()
            },
        )
    rate = {name: GIB / seconds / 1e9 for name, seconds in taken.items()}
    rows = [
        row(f"{(1 << power) >> 10} KiB", rate[str(power)], rate["bare"], rate[str(power)] / rate["bare"], None, "GB/s")
        for power in powers
    ]
    return {"title": "A body of 1 GiB of uniforms by block size (--block-bytes)", "peer": "bare TCP", "rows": rows}


def lengths():
    """Bodies of the length of layers, from the request to the last byte, against as many bytes of bare TCP."""
    powers = (18, 20, 22, 24)
    with bare_tcp() as bare, weight_init() as service:
        port = json.loads(bare.read())["port"]
        taken = interleave(
            21,
            **{
                name: measure
                for power in powers
                for name, measure in (
                    (f"bare {power}", lambda power=power: client("receive", port, 1 << power)["seconds"]),
                    (f"ours {power}", lambda power=power: client("get", service.port, raw("uniform", 1 << power - 2))["seconds"]),
                )
            },
        )
    rows = [
        row(f"{(1 << power) >> 10} KiB", 1000 * taken[f"ours {power}"], 1000 * taken[f"bare {power}"],
            taken[f"bare {power}"] / taken[f"ours {power}"], None, "ms")
        for power in powers
    ]  # fmt: skip
    return {"title": "Bodies of uniforms as long as layers are", "peer": "bare TCP", "rows": rows}


def unix():
    """Bodies and small requests over a socket in the file system, against bytes without HTTP, and against TCP."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bare = stack.enter_context(Line(harness.compiled("net"), "send", folder / "bare", cpus=(SERVER_CPU,)))
        bare.read()
        local, tcp = stack.enter_context(weight_init_at(folder / "service")), stack.enter_context(weight_init())

        def fetched(service, method):
            return client("get", service.port, raw(method, GIB // 4))["seconds"]

        fetched(local, "uniform")
        taken = interleave(
            5,
            bare=lambda: client("receive", folder / "bare", GIB)["seconds"],
            **{
                f"{method} {name}": (lambda service=service, method=method: fetched(service, method))
                for method in ("uniform", "normal")
                for name, service in (("local", local), ("tcp", tcp))
            },
        )
        small = interleave(3, local=lambda: requests(local.port, GAIN), tcp=lambda: requests(tcp.port, GAIN))
    rate = {name: GIB / seconds / 1e9 for name, seconds in taken.items()}

    def against(what, ours, peer, unit="GB/s"):
        return row(what, ours, peer, ours / peer, None, unit)

    rows = [
        against("uniform, share of the bare socket", rate["uniform local"], rate["bare"]),
        against("normal, share of the bare socket", rate["normal local"], rate["bare"]),
        against("uniform, against loopback TCP", rate["uniform local"], rate["uniform tcp"]),
        against("normal, against loopback TCP", rate["normal local"], rate["normal tcp"]),
        against("/gain, against loopback TCP", small["local"], small["tcp"], "requests/s"),
    ]
    return {"title": "Over a socket in the file system (--unix-socket)", "peer": "bare socket, or TCP", "rows": rows}


def nginx():
    """The same number of bytes from a file in memory, for comparison."""
    with harness.Nginx(GIB) as peer, weight_init() as service:
        if peer.port is None:
            return {"title": "Against nginx", "skipped": "nginx is not installed, and only root can install it"}
        target = raw("uniform", GIB // 4)
        client("get", peer.port, "/body")
        taken = interleave(
            5,
            nginx=lambda: client("get", peer.port, "/body")["seconds"],
            ours=lambda: client("get", service.port, target)["seconds"],
        )
        small = interleave(3, nginx=lambda: requests(peer.port, "/small"), ours=lambda: requests(service.port, GAIN))
    rate = {name: GIB / seconds / 1e9 for name, seconds in taken.items()}
    rows = [
        row("1 GiB: uniform, against a file in memory", rate["ours"], rate["nginx"], rate["ours"] / rate["nginx"], None, "GB/s"),
        row("small: a gain, against a fixed text", small["ours"], small["nginx"], small["ours"] / small["nginx"], None, "requests/s"),
    ]  # fmt: skip
    return {"title": "Against nginx", "peer": "nginx", "rows": rows}


def requests(port, target, seconds=1.5, connections=32):
    counted = client("spin", port, connections, seconds, target)
    return counted["requests"] / counted["seconds"]


def small(rounds=7, seconds=1.5):
    """Small requests on 32 connections, each of which asks again when it is answered; new requests come first.

    Also measures a server's processor time for a request, which hardly depends on other load of the machine.
    """
    cases = [
        ("/gain, new param", NEW_GAIN, 0.65),
        ("/init of 64 × 64 float32, raw, new seeds", NEW_TENSOR, 0.4),
        ("/init of 64 × 64 float32, JSON, new seeds", NEW_TENSOR.replace("format=raw", "format=json"), 0.2),
        ("/explain of one tensor, new seeds", NEW_TENSOR.replace("/init", "/explain"), 0.45),
        ("/livez", "/livez", None),
        ("/gain, repeated", GAIN, 0.9),
        ("/init of 64 × 64 float32, raw, repeated", SMALL_TENSOR, 0.6),
    ]
    with (
        Line(harness.compiled("minimal"), cpus=(SERVER_CPU,)) as minimal,
        weight_init() as service,
    ):
        port = json.loads(minimal.read())["port"]
        costs = {}

        def counted(name, server, port, target):
            before = processor_seconds(server.pid)
            answer = client("spin", port, 32, seconds, target)
            costs.setdefault(name, []).append(1e6 * (processor_seconds(server.pid) - before) / answer["requests"])
            return answer["requests"] / answer["seconds"]

        for _, target, _ in cases:
            requests(service.port, target, 0.3)
        measures = {
            name: lambda name=name, target=target: counted(name, service, service.port, target) for name, target, _ in cases
        }
        rates = interleave(rounds, minimal=lambda: counted("minimal", minimal, port, "/"), **measures)
    costs = {name: statistics.median(each) for name, each in costs.items()}
    rows = [
        row(name, rates[name], rates["minimal"], rates[name] / rates["minimal"], aim, "requests/s",
            note=f"{costs[name]:.1f} µs of processor time against {costs['minimal']:.1f}")
        for name, _, aim in cases
    ]  # fmt: skip
    return {"title": "Small requests against a minimal C server over libmicrohttpd", "peer": "minimal C", "rows": rows}


def costs():
    """Instructions in user mode and allocations for a new request: neither depends on the load of the machine."""
    if not shutil.which("valgrind"):
        return {"title": COSTS, "skipped": "valgrind is not installed"}

    def model(name, **members):
        return json.dumps(json.loads((harness.ROOT / f"examples/models/{name}.json").read_text()) | members).replace('"{}"', "{}")

    requests = {
        "/gain, new param": ("GET", NEW_GAIN),
        "/init of 64 × 64 float32, raw, new seed": ("GET", NEW_TENSOR),
        "/init of 64 × 64 float32, JSON, new seed": ("GET", NEW_TENSOR.replace("format=raw", "format=json")),
        "/explain of one tensor, new seed": ("GET", NEW_TENSOR.replace("/init", "/explain")),
        "/explain of GPT-2 small, new seed": ("POST", "/explain", model("gpt2_small", seed="{}")),
        "/init of mlp as safetensors, new seed": ("POST", "/init", model("mlp", seed="{}", format="safetensors")),
    }
    most = {"/init of 64 × 64 float32, raw, new seed": (None, 40), "/explain of GPT-2 small, new seed": (7e6, None)}
    port = free_port()
    found = harness.counts([harness.binary(), "serve", "--port", str(port)], port, requests, 50)
    rows = []
    for name, (instructions, allocations) in found.items():
        most_instructions, most_allocations = most.get(name, (None, None))
        rows.append(row(name, instructions / 1000, None, instructions / 1000, most_instructions and most_instructions / 1000,
                        "k instructions", True))  # fmt: skip
        rows.append(row(name, allocations, None, allocations, most_allocations, "allocations", True))
    return {"title": COSTS, "peer": None, "rows": rows}


COSTS = "Instructions and allocations for a request, libraries included"


def python():
    """A simple service around PyTorch, in all respects: requests, tensors, JSON, memory."""
    port = free_port()
    command_line = [torch_python(), HERE / "peers/torch_service.py", str(port)]
    big, million = 1 << 26, 1_000_000
    with Server(command_line, port, cpus=(SERVER_CPU,)) as peer, weight_init() as service:
        both = {"ours": service, "python": peer}

        def each(rounds, measure):
            return interleave(rounds, **{name: (lambda server=server: measure(server)) for name, server in both.items()})

        gains = each(3, lambda server: requests(server.port, NEW_GAIN))
        tensors = each(3, lambda server: requests(server.port, NEW_TENSOR.replace("kaiming_normal", "normal")))
        bytes_ = each(3, lambda server: client("get", server.port, raw("normal", big))["seconds"])
        text = f"/init?method=normal&shape={million}&seed=42&format=json"
        numbers = each(5, lambda server: client("get", server.port, text)["seconds"])
        memory = {name: status_kib(server.pid, "VmHWM") / 1024 for name, server in both.items()}
    rows = [
        row("/gain, new param", gains["ours"], gains["python"], gains["ours"] / gains["python"], None, "requests/s"),
        row("/init of 64 × 64 float32, raw, new seeds", tensors["ours"], tensors["python"], tensors["ours"] / tensors["python"], None, "requests/s"),
        row("normal, 256 MiB, raw", 1000 * bytes_["ours"], 1000 * bytes_["python"], bytes_["python"] / bytes_["ours"], None, "ms"),
        row("normal, a million as JSON", 1000 * numbers["ours"], 1000 * numbers["python"], numbers["python"] / numbers["ours"], None, "ms"),
        row("memory at its highest", memory["ours"], memory["python"], memory["python"] / memory["ours"], None, "MiB"),
    ]  # fmt: skip
    return {"title": "Against a service of FastAPI, uvicorn and PyTorch", "peer": "Python", "rows": rows}


def load(rounds=15):
    """A ResNet-50 with initial weights, from the service and from its constructor, in one process beside the service."""
    cpus = tuple(sorted(os.sched_getaffinity(0)))
    threads = {"OMP_NUM_THREADS": str(len(cpus))}
    worker = [harness.models_python(), HERE / "peers/load_module.py"]
    taken = {"load": [], "construct": []}
    with weight_init(cpus=cpus) as service, Line(*worker, f"http://127.0.0.1:{service.port}", cpus=cpus, environment=threads) as client:
        client.read()
        for number in range(rounds):
            for what, each in taken.items():
                # Each seed is requested once, so that no reply comes from a cache.
                each.append(client.ask(f"{what} {100 + number}"))
    rows = [
        row(f"load_ of a ResNet-50 on the meta device, {name} of {rounds}", 1000 * of(taken["load"]), 1000 * of(taken["construct"]),
            of(taken["construct"]) / of(taken["load"]), target, "ms")
        for name, of, target in (("median", statistics.median, 1), ("best", min, None))
    ]  # fmt: skip
    return {"title": "A module's initial weights, by the Python client", "peer": "the constructor", "rows": rows}


def models():
    """Real libraries' models: posted to the service and read to the last byte, against the libraries in process; one thread each."""
    title = "Models from their requests, over loopback, against their libraries in process, one thread each"
    if not harness.models_python().exists():
        return {"title": title, "skipped": "`make .venv-models/.installed` installs the libraries"}

    def worker(cpu):
        return Line(harness.models_python(), HERE / "peers/models.py", cpus=(cpu,))

    with weight_init("--work-threads", "1") as service, worker(SERVER_CPU) as library, worker(CLIENT_CPU) as reader:
        seeds = iter(range(1, 1000))

        def made(model):
            return library.ask(f"construct {model} {next(seeds)}")

        def fetched(model):
            return reader.ask(f"fetch {service.port} {model} {next(seeds)}")

        for model in ("trunc_normal", "resnet50"):
            made(model), fetched(model)
        truncated = interleave(
            7, ours=lambda: fetched("trunc_normal"), timm=lambda: made("trunc_normal"), torch=lambda: made("trunc_normal_of_torch")
        )
        resnet = interleave(21, ours=lambda: fetched("resnet50"), torchvision=lambda: made("resnet50"))
    rate = {name: (1 << 24) / seconds / 1e6 for name, seconds in truncated.items()}
    rows = [
        row("timm's trunc_normal_ as steps, 16 M elements, against torch.nn.init.trunc_normal_", rate["ours"], rate["torch"],
            rate["ours"] / rate["torch"], None, "M elements/s"),
        row("timm's trunc_normal_ as steps, 16 M elements, against timm's", rate["ours"], rate["timm"], rate["ours"] / rate["timm"],
            10, "M elements/s"),
        row("ResNet-50, a new seed each time, against torchvision's constructor", 1000 * resnet["ours"], 1000 * resnet["torchvision"],
            resnet["torchvision"] / resnet["ours"], 10, "ms"),
    ]  # fmt: skip
    return {"title": title, "peer": "library", "rows": rows}


def json_text():
    """A million float32 to text; the service also makes the numbers, the peers already have them."""
    n = 1_000_000
    with in_process() as ours, torch_calls() as python:
        for call in (lambda: ours.ask(f"numbers {n}"), lambda: python.ask(f"numbers orjson {n}")):
            call()
        taken = interleave(
            9, ours=lambda: ours.ask(f"numbers {n}"), orjson=lambda: python.ask(f"numbers orjson {n}")
        ) | interleave(3, dumps=lambda: python.ask(f"numbers json {n}"))
    rate = {name: n / seconds / 1e6 for name, seconds in taken.items()}
    rows = [
        row("against orjson of a NumPy array", rate["ours"], rate["orjson"], rate["ours"] / rate["orjson"], 1.5, "M numbers/s"),
        row("against json.dumps of a list", rate["ours"], rate["dumps"], rate["ours"] / rate["dumps"], 28, "M numbers/s"),
    ]  # fmt: skip
    return {"title": "JSON of a million float32 normals, one thread", "peer": "library", "rows": rows}


def seek():
    """Milliseconds to the first byte, anywhere in a tensor."""
    words, tebibyte = 1 << 40, 1 << 40
    with weight_init() as service:

        def first_byte(elements, first, count):
            answer = client("get", service.port, raw("uniform", elements), f"Range: bytes={first}-{first + count - 1}")
            assert answer["status"] == 206 and answer["bytes"] == count
            return 1000 * answer["first_byte"]

        mib = 1 << 20
        taken = interleave(
            21,
            first=lambda: first_byte(words, 0, 4),
            last=lambda: first_byte(words, 4 * words - 4, 4),
            first_mib=lambda: first_byte(tebibyte // 4, 0, mib),
            last_mib=lambda: first_byte(tebibyte // 4, tebibyte - mib, mib),
        )
    later = taken["last"] - taken["first"]
    rows = [
        row("last element of 2^40: later than the first by", taken["last"], taken["first"], later, 1, "ms", True,
            "target: at most so many ms later"),
        row("last MiB of 1 TiB, against its first MiB", taken["last_mib"], taken["first_mib"],
            taken["last_mib"] / taken["first_mib"], 3, "ms", True, "target: at most so many times as long"),
    ]  # fmt: skip
    return {"title": "Time to the first byte", "peer": "the first byte", "rows": rows}


def memory():
    """Resident memory while 64 GiB are streamed."""
    with weight_init() as service:
        answer = client("get", service.port, raw("uniform", 64 * GIB // 4))
        assert answer["bytes"] == 64 * GIB
        highest = status_kib(service.pid, "VmHWM") / 1024
    rows = [row("highest while 64 GiB were streamed", highest, None, highest, 32, "MiB", True,
                f"at {64 * GIB / answer['seconds'] / 1e9:.1f} GB/s")]  # fmt: skip
    return {"title": "Memory", "peer": None, "rows": rows}


def fairness():
    """Latency of small requests while decompositions wait and run; server and client share all processors."""
    cpus = tuple(sorted(os.sched_getaffinity(0)))
    with weight_init(cpus=cpus) as service:
        target = "/init?method=orthogonal&shape=4096,4096&format=raw&seed="
        idle = client("load", service.port, 4, 2, GAIN, cpus=cpus)
        pending = [
            subprocess.Popen(
                command(harness.compiled("net"), "get", service.port, target + str(seed)),
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            # A fast processor answers several of them meanwhile.
            for seed in range(16)
        ]
        try:
            time.sleep(0.5)
            busy = client("load", service.port, 4, 3, GAIN, cpus=cpus)
            assert sum(each.poll() is None for each in pending) >= 8
        finally:
            for each in pending:
                each.kill()
                each.wait()
    rows = [row("99th percentile of /gain, eight or more orthogonal 4096² pending", 1000 * busy["p99"], 1000 * idle["p99"],
                1000 * busy["p99"], 50, "ms", True, f"median {1000 * busy['p50']:.2f} ms")]  # fmt: skip
    return {"title": "Small requests beside long work", "peer": "nothing pending", "rows": rows}


def stalls():
    """The longest wait for a small reply while clients send the costliest requests, eight of each at a time."""
    cpus = tuple(sorted(os.sched_getaffinity(0)))
    kinds = [("all of these at once", costly.EVERY)]
    kinds += [(kind[0], [kind]) for kind in costly.EVERY]
    # With a shorter queue, further requests would only be refused.
    options = ("--work-queue", "1024")
    rows = []
    with weight_init(*options, cpus=cpus) as service:
        longest_alone = max(1000 * measured["longest"] for measured in harness.probed(service.port, 2, PROBES).values())
    for what, requests in kinds:
        with weight_init(*options, cpus=cpus) as service, harness.Attackers(service.port, requests, each=8):
            time.sleep(0.2)
            found = harness.probed(service.port, 10 if len(requests) > 1 else 2, PROBES)
        waits = {target.partition("?")[0]: 1000 * measured["longest"] for target, measured in found.items()}
        note = ", ".join(f"{route} {milliseconds:.1f}" for route, milliseconds in waits.items())
        is_all = len(requests) > 1
        rows.append(row(what, max(waits.values()), longest_alone, max(waits.values()), 50 if is_all else None, "ms", True, note))
    return {"title": "Longest wait for a small reply beside eight each of the costliest requests", "peer": "nobody else", "rows": rows}


def cancellation(rounds=9):
    """How long work continues after its only client has left. Seeds differ, so that no result is cached."""
    cpus = tuple(sorted(os.sched_getaffinity(0)))
    kinds = [
        ("orthogonal 4096²", "/init", {"method": "orthogonal", "shape": [4096, 4096], "format": "raw"}),
        ("orthogonal 4096² float64", "/init", {"method": "orthogonal", "shape": [4096, 4096], "dtype": "float64", "format": "raw"}),
        *((what, path, request) for what, path, request in costly.WORK if "orthogonal" not in what),
        *costly.MODELS[:1],
    ]  # fmt: skip
    rows = []
    with weight_init("--work-threads", "1", cpus=cpus) as service:
        for what, path, request in kinds:
            found = [1000 * harness.outlived(service.port, path, costly.body(request | {"seed": seed})) for seed in range(rounds)]
            rows.append(row(what, max(found), None, max(found), 20, "ms", True, f"median {statistics.median(found):.1f} ms, {rounds} times"))
    return {"title": "Longest time that work goes on after its client has left", "peer": "nothing", "rows": rows}


def crowds():
    """Latency of small requests beside many idle connections, and beside many that send or read slowly."""
    cpus = tuple(sorted(os.sched_getaffinity(0)))
    options = ("--max-connections", "11000", "--idle-timeout", "3600", "--receive-timeout", "3600")

    def percentiles(service):
        return client("load", service.port, 4, 3, GAIN, cpus=cpus)

    with weight_init(*options, cpus=cpus) as service:
        alone = percentiles(service)
        with harness.Crowd(service.port, 10_000):
            idle = percentiles(service)
    with weight_init(*options, cpus=cpus) as service, harness.Crowd(service.port, 500) as crowd:
        crowd.slow(raw("normal", GIB // 4))
        slow = percentiles(service)
    rows = [
        row(f"99th percentile of /gain, {who}", 1000 * found["p99"], 1000 * alone["p99"], 1000 * found["p99"], 20, "ms", True,
            f"median {1000 * found['p50']:.2f} ms")
        for who, found in [("10 000 idle connections", idle), ("500 slow readers and senders", slow)]
    ]  # fmt: skip
    return {"title": "Small requests beside many connections", "peer": "nobody else", "rows": rows}


def process(with_python=True):
    """Start, idle memory, size."""
    starts = []
    for _ in range(15):
        port = free_port()
        starts.append(client("start", port, SERVER_CPU, harness.binary(), "serve", "--port", port)["milliseconds"])
    with weight_init() as service:
        time.sleep(0.5)
        idle = status_kib(service.pid, "VmRSS") / 1024
        first = {"start": statistics.median(starts), "idle": idle}
    stripped = harness.stripped_size() / 1e6
    port = free_port()
    python = None
    if with_python:
        python = client("start", port, SERVER_CPU, torch_python(), HERE / "peers/torch_service.py", port)["milliseconds"]
    rows = [
        row("first reply after the start", first["start"], python, first["start"], 15, "ms", True),
        row("idle resident memory", first["idle"], None, first["idle"], 16, "MiB", True),
        row("binary, stripped" + ("" if harness.is_static() else ", Swift runtime not counted"), stripped, None,
            stripped, 20, "MB", True),
    ]  # fmt: skip
    return {"title": "Process", "peer": "FastAPI and torch", "rows": rows}


def image(file):
    """The size of the container's image, unpacked and compressed."""
    title = "The container's image"
    archive, reason = harness.image_archive(file)
    if archive is None:
        return {"title": title, "skipped": reason}
    unpacked, gzipped = harness.unpacked_size(archive) / 1e6, harness.gzipped_size(archive) / 1e6
    rows = [
        row("unpacked", unpacked, None, unpacked, 115, "MB", True),
        row("gzipped", gzipped, None, gzipped, 42, "MB", True),
    ]
    return {"title": title, "peer": None, "rows": rows}


def hub(rounds=5):
    """GPT-2 by transformers from the service and from nginx; the first byte of shards of Llama 3 70B; memory meanwhile."""
    title = "Clients of the Hugging Face Hub"
    gpt2, large, kept = "random/gpt2", "random/llama-3-70b", "seed-1"
    with weight_init() as service, tempfile.TemporaryDirectory(dir="/dev/shm") as folder, contextlib.ExitStack() as stack:
        information = f"/api/models/{gpt2}/revision/{kept}"
        commit = json.loads(harness.fetched(service.port, information))["sha"]
        # The service's files, with the header that the clients need. Other files are missing entries.
        locations = f"""
            add_header X-Repo-Commit {commit} always;
            location ~ ^/{gpt2}/resolve/[^/]+/([a-z_.]+)$ {{
                try_files /files/$1 @missing; add_header X-Repo-Commit {commit};
            }}
            location ~ ^/api/models/{gpt2}/revision/ {{ default_type application/json; try_files /files/revision.json @missing; }}
            location @missing {{ add_header X-Error-Code EntryNotFound always; add_header X-Repo-Commit {commit} always; return 404; }}
        """
        peer = stack.enter_context(harness.Nginx(0, locations))
        if peer.port is None:
            return {"title": title, "skipped": "nginx is not installed, and only root can install it"}
        files = peer.folder / "files"
        files.mkdir()
        for name in ("config.json", "model.safetensors"):
            harness.download(service.port, f"/{gpt2}/resolve/{kept}/{name}", files / name)
        harness.download(service.port, information, files / "revision.json")
        worker = [harness.models_python(), HERE / "peers/hub_load.py", gpt2, folder]
        loaders = {
            name: stack.enter_context(Line(*worker, cpus=(CLIENT_CPU,), environment=harness.hub_environment(server.port, folder)))
            for name, server in (("ours", service), ("nginx", peer))
        }

        def load(name, revision):
            loaders[name].tell(revision)
            return json.loads(loaders[name].read())

        # These first loads also import libraries, and are not measured.
        if load("ours", kept)["check"] != load("nginx", kept)["check"]:
            raise SystemExit("nginx and the service have different models")
        seeds = iter(range(100, 100 + rounds))
        taken = interleave(
            rounds, ours=lambda: load("ours", f"seed-{next(seeds)}")["seconds"], nginx=lambda: load("nginx", kept)["seconds"]
        )

        index = json.loads(harness.fetched(service.port, f"/{large}/resolve/{kept}/model.safetensors.index.json"))
        shards = sorted(set(index["weight_map"].values()))
        places = {"first": shards[0], "middle": shards[len(shards) // 2], "last": shards[-1]}
        first_bytes = {}
        for number in range(rounds):
            for turn, (place, shard) in enumerate(places.items()):
                # The first request of a seed decodes and plans the model; the others use the cached plan.
                seed = 1000 + len(places) * number + turn
                for request in ("first request of a seed", "seed asked for before"):
                    waited = harness.first_byte(service.port, f"/{large}/resolve/seed-{seed}/{shard}")
                    first_bytes.setdefault((place, request), []).append(1000 * waited)
        streamed = harness.swallowed(service.port, f"/{large}/resolve/{kept}/{places['middle']}")
        highest = status_kib(service.pid, "VmHWM") / 1024
    rows = [
        row("from_pretrained of GPT-2, a new seed each time", taken["ours"], taken["nginx"], taken["nginx"] / taken["ours"], 0.8, "s",
            note=f"{rounds} times each, alternately"),
        *(
            row(f"first byte of Llama 3 70B's {place} shard, {request}, longest", max(found), None, max(found), 50, "ms", True,
                f"median {statistics.median(found):.1f} ms, {rounds} times")
            for (place, request), found in first_bytes.items()
        ),
        row("highest memory meanwhile, also of a whole shard", highest, None, highest, 64, "MiB", True, f"shard of {streamed / 1e9:.1f} GB"),
    ]  # fmt: skip
    return {"title": title, "peer": "nginx", "rows": rows}


SECTIONS = {
    "fills": lambda: fills(harness.best_kernel()),
    "fills-avx2": lambda: fills("avx2"),
    "threads": threads,
    "orthogonal": orthogonal,
    "orthogonal-threads": orthogonal_threads,
    "matrices": matrices,
    "load": load,
    "hub": hub,
    "json": json_text,
    "models": models,
    "small": small,
    "costs": costs,
    "bodies": bodies,
    "blocks": blocks,
    "lengths": lengths,
    "unix": unix,
    "seek": seek,
    "memory": memory,
    "fairness": fairness,
    "stalls": stalls,
    "cancellation": cancellation,
    "crowds": crowds,
    "process": process,
    "image": image,
    "python": python,
    "nginx": nginx,
    "sizes": sizes,
}


# Sections that need only a built service.
WITHOUT_SWIFT = {"load", "hub"}

# Sections that a change of the service is most likely to affect, and that need no PyTorch.
QUICK = {
    "costs": costs,
    "small": lambda: small(rounds=2, seconds=0.7),
    "seek": seek,
    "fairness": fairness,
    "process": lambda: process(with_python=False),
}


def quick(binary):
    harness.set_up(binary, with_python=False)
    for name, measure in QUICK.items():
        section = measure()
        print(f"\n{section['title']}\n")
        print(f"not measured: {section['skipped']}" if "skipped" in section else report.plain(section), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="sections, separated by commas: " + ", ".join(SECTIONS))
    parser.add_argument("--missing", action="store_true", help="only sections that have no result yet")
    parser.add_argument("--report", action="store_true", help="measure nothing, write RESULTS.md")
    parser.add_argument("--binary", type=Path, help="the service, where it is not built here first")
    parser.add_argument("--image", type=Path, help="an archive of the image, where no engine of Docker has it")
    parser.add_argument("--quick", action="store_true", help="two minutes: costs, small requests, latencies, start")
    options = parser.parse_args()
    if options.quick:
        return quick(options.binary)

    results = HERE / ".results"
    results.mkdir(exist_ok=True)
    if not options.report:
        names = options.only.split(",") if options.only else list(SECTIONS)
        for unknown in set(names) - set(SECTIONS):
            parser.error(f"no section {unknown}")
        needs_swift = not set(names) <= WITHOUT_SWIFT
        if needs_swift:
            harness.set_up(options.binary)
        else:
            harness.choose(options.binary)
        if {"load", "hub"} & set(names):
            harness.set_up_models()
        if not options.only and harness.best_kernel() != "avx512":
            names.remove("fills-avx2")
        for name in names:
            file = results / f"{name}.json"
            if options.missing and file.exists():
                continue
            started = time.time()
            print(f"{name} …", end=" ", flush=True)
            section = SECTIONS[name](options.image) if name == "image" else SECTIONS[name]()
            section |= {"taken": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "load": os.getloadavg()[0]}
            file.write_text(json.dumps(section, indent=1, ensure_ascii=False))
            print(f"{time.time() - started:.0f} s", flush=True)
            if not needs_swift:
                print(report.plain(section))
        if not needs_swift and not (results / "environment.json").exists():
            return print("RESULTS.md comes from another run and was not changed.")
        if needs_swift:
            (results / "environment.json").write_text(json.dumps(harness.environment(), indent=1, ensure_ascii=False))
    sections = {name: json.loads((results / f"{name}.json").read_text()) for name in SECTIONS if (results / f"{name}.json").exists()}
    environment = json.loads((results / "environment.json").read_text())
    text = report.write(sections, environment, (HERE / "NOTES.md").read_text())
    (HERE / "RESULTS.md").write_text(text)
    print(text)
    # Without AVX-512, `fills` is `fills-avx2`. The documents quote no figures of the other three.
    needed = [name for name in SECTIONS if name not in ("fills-avx2", "image", "models", "hub")]
    if all(name in sections and "skipped" not in sections[name] for name in needed):
        figures.write()
    else:
        print("Some sections were not measured, so the documents keep their figures.")


if __name__ == "__main__":
    main()
