"""Checks that replicas are interchangeable: three replicas behind nginx give the same tensor, PyTorch's.

    python3 replicas.py path/to/weight-init path/to/unpacked/packages

1. A tensor of 512 MiB is fetched in 16 parallel ranges. When all have begun, a replica is killed; the interrupted
   ranges are resumed. The SHA-256 has to be that of the tensor that PyTorch makes in one process.
2. Behind the cache of deploy/nginx.conf, a second fetch reaches no replica; a client with the entity tag gets 304; and
   expired entries of the cache are revalidated by their entity tags.
3. The same cache answers the second request of each route whose replies never change, and of no other route: the replicas
   count the requests that reach them. Errors, POST, ranges and replies to requests with a token are not stored.
4. Clients and proxies that speak HTTP/1.0 get whole bodies.

nginx, HAProxy and ab come from a directory in which their packages were unpacked, or else from the PATH. Exits with 0 if all
holds.
"""

import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import re
import subprocess
import sys
import tempfile
import threading
import time

from fleet import HERE, MIB, Fleet, Replica, deployed_nginx, eventually, get, haproxy, plain_nginx, tools

TARGET = "/init?method=normal&shape=8192,16384&seed=42&format=raw"
SIZE = 512 << 20
PARTS = 16


def parallel_ranges(fleet):
    port = fleet.front(plain_nginx)
    parts = [bytearray() for _ in range(PARTS)]
    tags = set()
    broken = []
    problems = []
    begun = threading.Barrier(PARTS + 1)
    killed = threading.Event()

    def fetch(index, is_first):
        """Continues a part; returns true if the part is complete."""
        part, start = parts[index], index * (SIZE // PARTS)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            fields = {"Range": f"bytes={start + len(part)}-{start + SIZE // PARTS - 1}"}
            if tags:
                fields["If-Range"] = next(iter(tags))
            connection.request("GET", TARGET, headers=fields)
            response = connection.getresponse()
            if response.status != 206:
                problems.append(f"part {index}: {response.status}")
                return True
            tags.add(response.headers["ETag"])
            while len(part) < SIZE // PARTS:
                piece = response.read(min(MIB, SIZE // PARTS - len(part)))
                if not piece:
                    return False
                part += piece
                if is_first:
                    is_first = False
                    begun.wait()
                    killed.wait()
            return True
        except (http.client.HTTPException, ConnectionError):
            return False
        finally:
            connection.close()

    def work(index):
        try:
            if fetch(index, True):
                return
            broken.append(index)
            for _ in range(10):
                if fetch(index, False):
                    return
            problems.append(f"part {index} does not come to its end")
        except Exception as error:  # An error in a thread would go unnoticed.
            problems.append(f"part {index}: {error!r}")
            begun.abort()
            killed.set()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(PARTS)]
    for thread in threads:
        thread.start()
    begun.wait(timeout=300)
    fleet.replicas[1].kill()
    killed.set()
    for thread in threads:
        thread.join()
    assert not problems, problems
    assert broken, "no range broke: the replica served none"
    assert len(broken) < PARTS, "every range broke: the replica served all"
    assert len(tags) == 1, f"replicas disagree about the tag: {tags}"
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    expected = (HERE / "normal_512MiB.sha256").read_text().split()[0]
    assert digest.hexdigest() == expected, f"{digest.hexdigest()} is not PyTorch's {expected}"
    print(f"512 MiB in {PARTS} ranges, {len(broken)} of them broken and resumed: PyTorch's bytes")


def cached(fleet):
    replicas, port = fleet.replicas, fleet.front(deployed_nginx)
    target = "/init?method=uniform&shape=4096,4096&seed=7&format=raw"
    direct = get(replicas[0].port, target)[2]
    # The cost of a range does not depend on the length of the whole.
    huge = "/init?method=uniform&shape=1099511627776&seed=7&format=raw"
    for asked, length in (("0-99", 100), ("20000000-20000099", 100), ("-16", 16)):
        status, fields, body = get(port, huge, {"Range": f"bytes={asked}"})
        assert (status, len(body)) == (206, length), (asked, status, len(body))
        status, fields, body = get(port, target, {"Range": f"bytes={asked}"})
        first, _, last = asked.partition("-")
        expected = direct[int(first) : int(last) + 1] if first else direct[-int(last) :]
        assert (status, body) == (206, expected), (asked, status)
    kept = [path for path in (fleet.directory / "weight-init").rglob("*") if path.is_file()]
    assert not kept, "no range is kept"
    status, fields, body = get(port, target)
    assert status == 200 and body == direct
    tag = fields["ETag"]
    assert fields["Cache-Control"] == "public, max-age=31536000, immutable"
    # A model by its URL, and JSON, which has no ranges, are cached, too.
    model = {"seed": 1, "layer": {"type": "Linear", "in_features": 64, "out_features": 32}, "format": "safetensors"}
    other = "/init?request=" + "".join(f"%{byte:02X}" for byte in json.dumps(model).encode())
    json_target = "/init?method=normal&shape=3000,10"
    for path in (other, json_target, "/init?method=zeros&shape=0&format=raw"):
        expected = get(replicas[0].port, path)[2]
        for state in ("MISS", "HIT"):
            status, fields, body = get(port, path)
            assert (status, fields["X-Cache-Status"]) == (200, state), (path, status, fields["X-Cache-Status"])
            assert body == expected, path
    # The proxy does not expose a replica's metrics.
    assert get(port, "/metrics")[0] == 404
    assert get(port, "/livez")[0] == 200
    # The cache answers even if no replica is left.
    for replica in replicas:
        replica.kill()
    status, fields, body = get(port, target)
    assert (status, fields["X-Cache-Status"]) == (200, "HIT"), (status, fields["X-Cache-Status"])
    assert body == direct
    status, fields, body = get(port, target, {"If-None-Match": tag})
    assert (status, body) == (304, b""), status
    status, fields, body = get(port, target, {"Range": "bytes=5-9", "If-Range": tag})
    assert (status, body) == (206, direct[5:10]), status
    print("a second fetch, in parts or whole, comes from the cache without any replica; a range costs no more than itself")


class Counted:
    """Requests through a proxy, and how many of them reach a replica."""

    def __init__(self, replicas, port):
        self.replicas, self.port = replicas, port
        self.start, self.expected = self.served(), 0

    def served(self):
        return sum(replica.served() for replica in self.replicas)

    def check(self, reaching, *request, **how):
        """Sends a request that has to reach this many replicas; returns the reply."""
        reply = get(self.port, *request, **how)
        self.expect(reaching, f"{request} {how}")
        return reply

    def expect(self, reaching, what):
        self.expected += reaching
        # A replica counts a request when the reply has left it, perhaps a little after the client has the reply.
        eventually(lambda: self.served() - self.start >= self.expected, f"a replica has answered {what}")
        count = self.served() - self.start
        assert count == self.expected, f"{count - self.expected} more requests than expected reach a replica: {what}"


# The query of a route in the contract, and what its parameters stand for.
QUERIES = {
    "/init": "?method=normal&shape=64&format=raw",
    "/init/{file}": "?method=normal&shape=64",
    "/explain": "?method=normal&shape=64",
    "/gain": "?nonlinearity=relu",
    "/fan": "?shape=3,4",
    "/models/{org}/{name}": "?format=safetensors&seed=1",
}
FILES = {"/init/{file}": "a.npy", "/{org}/{name}/resolve/{revision}/{file}": "model.safetensors"}
NEVER_CHANGE = {
    "/init", "/init/{file}", "/gain", "/fan", "/propagate", "/api/models/{org}/{name}/revision/{revision}",
    "/api/models/{org}/{name}/tree/{revision}", "/{org}/{name}/resolve/{revision}/{file}",
}  # fmt: skip


def every_route(fleet):
    counted = Counted(fleet.replicas, fleet.front(deployed_nginx))
    commit = counted.check(1, "/random/lenet5/resolve/seed-1/init.json")[1]["X-Repo-Commit"]
    paths = json.loads((HERE.parents[1] / "openapi.json").read_text())["paths"]
    stored = set()
    for path in paths:
        for revision in ("seed-1", commit) if "{revision}" in path else (None,):
            target = path.format(org="random", name="lenet5", revision=revision, file=FILES.get(path), path="a")
            target += QUERIES.get(path, "")
            for method in ("GET", "HEAD"):
                if path == "/metrics":
                    assert counted.check(0, target, method=method)[0] == 404
                    continue
                status, fields, body = counted.check(1, target, method=method)
                assert status == (404 if "{path}" in path else 200), (target, status)
                never_changes = "immutable" in fields["Cache-Control"]
                again = counted.check(0 if never_changes else 1, target, method=method)
                states = (fields["X-Cache-Status"], again[1]["X-Cache-Status"])
                assert states == (("MISS", "HIT") if never_changes else (None, None)), (target, states)
                # Metrics and probes apart, a reply does not change within this test.
                assert again[0] == status and again[2] == body, target
                if never_changes:
                    stored.add(path)
    assert stored == NEVER_CHANGE, f"replies never change at {sorted(stored)}"
    print(f"the second reply of {len(stored)} routes comes from the cache, of the other {len(paths) - len(stored)} from a replica")


def stored_or_not(fleet):
    replicas, port = fleet.replicas, fleet.front(deployed_nginx)
    counted = Counted(replicas, port)
    commit = counted.check(1, "/random/lenet5/resolve/seed-1/init.json")[1]["X-Repo-Commit"]
    shard = f"/random/lenet5/resolve/{commit}/model.safetensors"
    file = "/init/a.npy?method=normal&shape=300,10"
    token = {"Authorization": "Bearer abcdefghijklmnopqrstuvwxyz"}
    for target in (shard, file):
        # Ranges and replies to requests with a token are not stored; both come from a stored reply.
        for fields, status in (({"Range": "bytes=5-9"}, 206), (token, 200)):
            for _ in range(2):
                assert counted.check(1, target, fields)[0] == status
        whole = counted.check(1, target)[2]
        for fields, status, expected in (
            ({}, 200, whole),
            (token, 200, whole),
            ({"Range": "bytes=5-9"}, 206, whole[5:10]),
            (token | {"Range": "bytes=-4"}, 206, whole[-4:]),
        ):
            found = counted.check(0, target, fields)
            assert (found[0], found[2], found[1]["X-Cache-Status"]) == (status, expected, "HIT"), (target, fields, found[:2])
    # Errors, and replies that may change at routes with others that do not.
    for target, status in (
        ("/init?method=none&shape=4", 400),
        ("/init/a.tar?method=normal&shape=4", 404),
        ("/gain?nonlinearity=none", 400),
        (f"/random/lenet5/resolve/{commit}/none.json", 404),
        (f"/random/lenet5/resolve/{commit[:-1]}/model.safetensors", 404),
        ("/random/lenet5/resolve/main/model.safetensors", 200),
        # The table of all gains changes with the release.
        ("/gain", 200),
    ):
        for _ in range(2):
            assert counted.check(1, target)[0] == status, target
    # Bodies, also with the fields that send a GET past the lock.
    body = json.dumps({"method": "normal", "shape": [4], "format": "raw"})
    for path in ("/init", "/init/a.raw"):
        for fields in ({}, {"Range": "bytes=0-3"}, token):
            for _ in range(2):
                found = counted.check(1, path, fields | {"Content-Type": "application/json"}, method="POST", body=body)
                assert (found[0], len(found[2])) == (200, 16), (path, fields, found[:2])
    # Without a format in the URL, Accept decides.
    for target in ("/init?method=normal&shape=4", "/init?method=normal&shape=5"):
        for accept, size in (("application/octet-stream", {16, 20}), ("application/json", None)):
            found = counted.check(1, target, {"Accept": accept})
            again = counted.check(0, target, {"Accept": accept})
            assert found[1]["Content-Type"] == again[1]["Content-Type"] == accept and found[2] == again[2], (target, accept)
            assert size is None or len(found[2]) in size
    # Clients that start at once.
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        bodies = set(pool.map(lambda _: get(port, "/init/q.raw?method=orthogonal&shape=400,400")[2], range(8)))
    assert len(bodies) == 1
    counted.expect(1, "eight requests at once")
    print("errors, ranges, POST and replies to requests with a token are not stored; eight requests at once become one")


def with_tokens(fleet):
    secret = "abcdefghijklmnopqrstuvwxyz"
    file = fleet.directory / "tokens"
    file.write_text(secret + "\n")
    fleet.replicas = [fleet.ends.enter_context(Replica(fleet.replicas[0].binary, {"WEIGHT_INIT_TOKEN_FILE": str(file)}))]
    port = fleet.front(deployed_nginx)
    token = {"Authorization": f"Bearer {secret}"}
    commit = get(port, "/random/lenet5/resolve/seed-1/init.json", token)[1]["X-Repo-Commit"]
    for target in (f"/random/lenet5/resolve/{commit}/model.safetensors", "/init/a.raw?method=normal&shape=64", "/gain"):
        for fields, status in ((token, 200), ({}, 401), ({"Authorization": "Bearer another"}, 401), (token, 200)):
            found = get(port, target, fields)
            assert found[0] == status and found[1]["X-Cache-Status"] != "HIT", (target, fields, found[:2])
    kept = [path for path in (fleet.directory / "weight-init").rglob("*") if path.is_file()]
    assert not kept, "a reply that needs a token is kept"
    # None of them waits for another. nginx looks every half second whether it still has to wait.
    together = threading.Barrier(40)

    def fetch(_):
        together.wait()
        return get(port, "/init?method=orthogonal&shape=400,400&format=raw", token)[0]

    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        statuses = set(pool.map(fetch, range(40)))
    took = time.monotonic() - start
    assert statuses == {200} and took < 3, f"{statuses}, 40 requests took {took:.1f} s"
    print("with tokens, the cache keeps nothing, and no request waits for another")


def revalidated(fleet):
    port = fleet.front(deployed_nginx, expires=True)
    target = "/init?method=normal&shape=1000&format=raw"
    first = get(port, target)
    assert first[1]["X-Cache-Status"] == "MISS"
    time.sleep(2.1)
    status, fields, body = get(port, target)
    assert (status, fields["X-Cache-Status"]) == (200, "REVALIDATED"), (status, fields["X-Cache-Status"])
    assert body == first[2] and fields["ETag"] == first[1]["ETag"]
    print("what has expired is revalidated by its tag, whichever replica answers")


def old_protocol(fleet):
    """HTTP/1.0 on either side of a proxy, and without a proxy: bodies of unknown length arrive whole."""
    targets = ["/init?method=normal&shape=300,300", "/init?method=normal&shape=300,300&format=raw", "/gain", "/methods"]
    direct = fleet.replicas[0].port
    bodies = {target: get(direct, target)[2] for target in targets}
    # nginx speaks HTTP/1.0 to replicas by default.
    ports = (direct, fleet.front(plain_nginx, how=""), fleet.front(haproxy))
    for target, body in bodies.items():
        for port in ports:
            url = f"http://127.0.0.1:{port}{target}"
            for version in ("--http1.0", "--http1.1"):
                found = subprocess.run(["curl", "-sSf", version, url], capture_output=True, timeout=120)
                assert found.returncode == 0 and found.stdout == body, f"{url} {version}: {len(found.stdout)}"
            # Without and with keep-alive.
            for kept in ([], ["-k"]):
                command = ["ab", "-q", "-n", "20", "-c", "4", *kept, url]
                said = subprocess.run(command, capture_output=True, text=True, timeout=120, env=fleet.environment).stdout
                counted = dict(re.findall(r"^(Complete requests|Failed requests|HTML transferred):\s+(\d+)", said, re.MULTILINE))
                wanted = {"Complete requests": "20", "Failed requests": "0", "HTML transferred": str(20 * len(body))}
                assert counted == wanted, f"{command}: {said}"
    print("HTTP/1.0 gets whole bodies: curl and ab, directly, through nginx as it is by itself, and through HAProxy")


def main():
    binary, environment = sys.argv[1], tools(sys.argv[2])
    for test in (parallel_ranges, cached, every_route, stored_or_not, with_tokens, revalidated, old_protocol):
        with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as ends:
            test(Fleet(ends, binary, environment, directory))


if __name__ == "__main__":
    main()
