"""Downloads tensors from three replicas that are killed again and again, and looks for files that mix two versions.

    python3 chaos.py path/to/weight-init path/to/unpacked/packages [--downloads 400] [--seed 1]

The replicas run different kernels (avx512, avx2, portable). Clients reach them directly and through nginx, nginx with
the cache of deploy/nginx.conf, and HAProxy. One replica at a time is killed by SIGKILL at random and restarted with the
kernels of another. aria2c -x8, `curl -C -` and a client with Range and If-Range resume interrupted downloads. Every
method, every format that has ranges, slices and models take turns. Each finished file must equal the reply of an
undisturbed replica.

In a second part one replica has a C library without FMA. Such replicas may give other bits, under other entity tags: clients
that send If-Range must get either one version or the other.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import http.client
import itertools
import json
import os
import pathlib
import random
import subprocess
import tempfile
import threading
import time
import urllib.parse

import fleet
from fleet import Replica, deployed_nginx, get, haproxy, plain_nginx

KERNELS = ("avx512", "avx2", "portable")
NO_FMA = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2,-AVX2_Usable,-FMA_Usable"}
DTYPES = ("float32", "float64", "float16", "bfloat16")
# Values for parameters without a default.
VALUES = {"sparsity": 0.25, "value": 0.5, "start": 1, "step": 2}
# Matrices are smaller, because they are made whole.
SHAPES = {"orthogonal": [900, 1200], "sparse": [1500, 1500], "dirac": [256, 512, 3, 3], "eye": [1500, 1500]}
SHAPE = [1536, 2048]
MODELS = [
    {"layers": [
        {"name": "conv", "type": "Conv2d", "in_channels": 64, "out_channels": 256, "kernel_size": 3},
        {"name": "norm", "type": "BatchNorm2d", "num_features": 256},
        {"name": "attention", "type": "MultiheadAttention", "embed_dim": 512, "num_heads": 8},
        {"name": "lstm", "type": "LSTM", "input_size": 256, "hidden_size": 256}]},
    {"tensors": [
        {"name": "a", "method": "trunc_normal", "shape": [700, 1000]}, {"name": "b", "method": "orthogonal", "shape": [500, 400]},
        {"name": "c", "method": "normal", "shape": [999, 801]}]},
]  # fmt: skip


def targets(catalogue, chance):
    """Endless targets: each method in each format and dtype that it accepts, then slices and models, with new seeds."""
    formats = [format["name"] for format in catalogue["formats"] if format["name"] in ("raw", "npy", "safetensors")]
    assert len(formats) == 3, catalogue["formats"]
    methods = [method for method in catalogue["methods"] if drawn_alone(method)]
    for turn in itertools.count():
        found = []
        for number, (method, format) in enumerate(itertools.product(methods, formats)):
            name, dtype = method["name"], DTYPES[(turn + number) % len(DTYPES)]
            if name == "orthogonal" and dtype in DTYPES[2:] or (format, dtype) == ("npy", "bfloat16"):
                dtype = DTYPES[turn % 2]
            request = {"method": name, "shape": SHAPES.get(name, SHAPE), "dtype": dtype, "format": format}
            for parameter in method["parameters"]:
                if parameter["name"] in VALUES and "default" not in parameter:
                    request[parameter["name"]] = VALUES[parameter["name"]]
            found.append(url(request | {"seed": chance.randrange(1 << 32)}))
        for format in formats:
            found.append(url({"method": "normal", "shape": [4000, 4000], "slice": "100:2100,7:807", "seed": turn, "format": format}))
        for model in MODELS:
            request = model | {"seed": chance.randrange(1 << 32), "format": "safetensors"}
            found.append("/init?request=" + urllib.parse.quote(json.dumps(request)))
        chance.shuffle(found)
        yield from found


def drawn_alone(method):
    """True for methods that make a tensor by themselves, false for those that change one or read its data from the request."""
    return method["name"] in (
        "uniform normal trunc_normal constant ones zeros eye dirac xavier_uniform xavier_normal kaiming_uniform kaiming_normal "
        "orthogonal sparse arange"
    ).split()


def url(request):
    text = {name: ",".join(map(str, value)) if isinstance(value, list) else value for name, value in request.items()}
    return "/init?" + urllib.parse.urlencode(text)


class Killer:
    """Kills one replica at a time and restarts it, until the `with` block ends."""

    def __init__(self, replicas, chance, variables):
        self.replicas, self.chance, self.variables = replicas, chance, variables
        self.kills = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def run(self):
        while not self.ended.wait(self.chance.uniform(0.1, 0.5)):
            replica = self.chance.choice(self.replicas)
            replica.kill()
            self.kills += 1
            time.sleep(self.chance.uniform(0, 0.2))
            replica.environment = os.environ | self.chance.choice(self.variables)
            replica.start()


def difference(found, expected):
    """A sentence about the first difference of a file."""
    same = next((index for index, (one, other) in enumerate(zip(found, expected)) if one != other), min(len(found), len(expected)))
    return f"{len(found)} bytes instead of {len(expected)}, the first {same} of them right"


class Broken(Exception):
    """A client gave up."""


def aria2(urls, path, environment):
    """Downloads over eight connections, from several replicas if given; returns the number of repeated calls."""
    command = [
        "aria2c", "-x8", "-s8", "-k1M", "-c", "--no-conf", "--file-allocation=none", "--max-tries=20", "--retry-wait=0",
        "--max-download-limit=25M", "--lowest-speed-limit=0", "--auto-file-renaming=false", "--allow-overwrite=false",
        "--quiet", "-d", str(path.parent), "-o", path.name, *urls,
    ]  # fmt: skip
    return repeated(command, environment, 60)


def curl(urls, path, environment):
    command = ["curl", "-sf", "-C", "-", "--limit-rate", "25M", "-o", str(path), urls[0]]
    return repeated(command, environment, 200)


def repeated(command, environment, most):
    """Runs a command until it succeeds; returns how many times it failed."""
    for again in range(most):
        if subprocess.run(command, env=environment, capture_output=True).returncode == 0:
            return again
        time.sleep(0.05)
    raise Broken(f"{command[0]} does not come to its end")


def if_range(urls, path, _):
    """Resumes with Range and If-Range; begins anew if the whole body is sent."""
    place = urllib.parse.urlsplit(urls[0])
    body, tag, total = bytearray(), None, None
    for again in range(200):
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
        try:
            fields = {"Range": f"bytes={len(body)}-", "If-Range": tag} if body else {}
            connection.request("GET", f"{place.path}?{place.query}", headers=fields)
            response = connection.getresponse()
            if response.status == 206:
                if response.headers["ETag"] != tag:
                    raise Broken(f"206 with the tag {response.headers['ETag']} to If-Range: {tag}")
            elif response.status == 200:
                body, tag, total = bytearray(), response.headers["ETag"], int(response.headers["Content-Length"])
            else:
                raise ConnectionError(response.status)
            while piece := response.read(1 << 18):
                body += piece
                time.sleep(0.005)
        except (http.client.HTTPException, OSError):
            time.sleep(0.05)
        finally:
            connection.close()
        if total is not None and len(body) == total:
            path.write_bytes(body)
            return again
    raise Broken("the client with If-Range does not come to its end")


class Chaos:
    """Downloads during which replicas are killed, and their results."""

    def __init__(self, binary, environment, directory, seed):
        self.binary, self.environment, self.directory = binary, environment, directory
        self.chance = random.Random(seed)
        self.resumed = collections.Counter()
        self.done = collections.Counter()
        self.faults = []

    def download(self, number, client, front, urls, expected):
        path = self.directory / f"download-{number}"
        try:
            again = client(urls, path, self.environment)
            found = path.read_bytes()
            if found not in expected:
                self.faults.append(f"{client.__name__} by {front}: a mixed file, {difference(found, expected[0])}: {urls[0]}")
            self.resumed[client.__name__] += again
            self.done[client.__name__, front] += 1
        except Broken as error:
            self.faults.append(f"{client.__name__} by {front}: {error}: {urls[0]}")
        finally:
            path.unlink(missing_ok=True)

    def run(self, downloads, variables, clients, quiet):
        """Runs the downloads. Replicas use the environments `variables` in turn; `quiet` replicas are never killed."""
        with contextlib.ExitStack() as ends:
            replicas = [ends.enter_context(Replica(self.binary, environment)) for environment in variables]
            fronts = {}
            for name, make, how in (
                ("nginx", plain_nginx, {"again": "1s"}),
                ("the cache", deployed_nginx, {"again": "1s"}),
                ("HAProxy", haproxy, {}),
            ):
                place = pathlib.Path(tempfile.mkdtemp(dir=self.directory))
                proxy = ends.enter_context(make(replicas, place, self.environment, **how))
                fronts[name] = [f"http://127.0.0.1:{proxy.port}"]
            fronts["itself"] = [f"http://127.0.0.1:{replica.port}" for replica in replicas]
            catalogue = json.loads(get(quiet[0].port, "/methods")[2])
            pairs = itertools.cycle(itertools.product(clients, fronts.items()))
            wanted = itertools.islice(zip(targets(catalogue, self.chance), pairs), downloads)
            with Killer(replicas, self.chance, variables) as killer, concurrent.futures.ThreadPoolExecutor(6) as pool:
                for number, (target, (client, (front, origins))) in enumerate(wanted):
                    pool.submit(self.one, number, target, client, front, origins, quiet)
            return killer.kills

    def one(self, number, target, client, front, origins, quiet):
        try:
            expected = []
            for replica in quiet:
                status, _, body = get(replica.port, target)
                assert status == 200, f"{status} to {target}: {body[:200]}"
                expected.append(body)
            self.download(number, client, front, [origin + target for origin in origins], expected)
        except Exception as error:  # An error in a future would go unnoticed.
            self.faults.append(f"{target}: {error!r}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("packages", help="where Debian's packages of nginx, HAProxy and aria2 were unpacked")
    parser.add_argument("--downloads", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    kernels = [{"WEIGHT_INIT_KERNEL": kernel} for kernel in KERNELS]
    with tempfile.TemporaryDirectory() as directory, Replica(options.binary) as usual, Replica(options.binary, NO_FMA) as other:
        # nginx's workers may run as another user.
        pathlib.Path(directory).chmod(0o755)
        chaos = Chaos(options.binary, fleet.tools(options.packages), pathlib.Path(directory), options.seed)
        kills = chaos.run(options.downloads * 3 // 4, kernels, [aria2, curl, if_range], [usual])
        kills += chaos.run(options.downloads // 4, [*kernels[1:], NO_FMA], [if_range], [usual, other])
    for fault in chaos.faults[:20]:
        print(f"chaos: {fault}")
    clients = ", ".join(f"{client} by {front} {count}" for (client, front), count in sorted(chaos.done.items()))
    print(f"chaos: {sum(chaos.done.values())} downloads ({clients})")
    print(f"chaos: {kills} replicas killed, {sum(chaos.resumed.values())} downloads begun again; {len(chaos.faults)} faults")
    assert not chaos.faults
    assert kills > 0 and sum(chaos.resumed.values()) > 0, "nothing was disturbed: nothing is shown"


if __name__ == "__main__":
    main()
