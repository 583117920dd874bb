"""Checks that replicas are interchangeable: three replicas behind nginx give the same tensor, PyTorch's.

    python3 replicas.py path/to/weight-init path/to/unpacked/packages

1. A tensor of 512 MiB is fetched in 16 parallel ranges. When all have begun, a replica is killed; the interrupted
ranges are
   resumed. The SHA-256 has to be that of the tensor that PyTorch makes in one process.
2. Behind the cache of deploy/nginx.conf, a second fetch reaches no replica; a client with the entity tag gets 304; and
expired
   entries of the cache are revalidated by their entity tags.
3. Clients and proxies that speak HTTP/1.0 get whole bodies.

nginx, HAProxy and ab come from a directory in which their packages were unpacked, or else from the PATH. Exits with 0 if all
holds.
"""

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

from fleet import HERE, MIB, Fleet, deployed_nginx, get, haproxy, plain_nginx, tools

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
    for test in (parallel_ranges, cached, revalidated, old_protocol):
        with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as ends:
            test(Fleet(ends, binary, environment, directory))


if __name__ == "__main__":
    main()
