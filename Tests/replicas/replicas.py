"""Checks that replicas are interchangeable: three of them behind nginx give one tensor, PyTorch's.

    python3 replicas.py path/to/weight-init [path/to/nginx]

1. A tensor of 512 MiB is fetched in 16 ranges in parallel. When each has begun, a replica is killed; the ranges that broke
   are fetched anew from where they broke. The SHA-256 is that of the tensor that PyTorch makes in one process.
2. Behind the cache of deploy/nginx.conf, a second fetch asks no replica; a client that has the tag gets 304; and what has
   expired in the cache is revalidated by its tag.

Needs Python alone. Exits with 0 where all holds.
"""

import hashlib
import http.client
import json
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
TARGET = "/init?method=normal&shape=8192,16384&seed=42&format=raw"
SIZE = 512 << 20
PARTS = 16
MIB = 1 << 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(condition, what):
    for _ in range(200):
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"not within 10 s: {what}")


class Replica:
    def __init__(self, binary):
        self.process = subprocess.Popen(
            [binary, "serve", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        line = self.process.stdout.readline()
        self.port = int(line.rsplit(":", 1)[1])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Proxy:
    """nginx in the foreground, with a configuration that is written to a directory of its own."""

    def __init__(self, nginx, configuration, directory, port):
        self.port = port
        path = directory / "nginx.conf"
        path.write_text(configuration)
        options = f"daemon off; pid {directory}/nginx.pid;"
        # Where the workers run as another user, they must get at the cache.
        directory.chmod(0o777)
        command = [nginx, "-p", str(directory), "-c", str(path), "-g", options]
        tested = subprocess.run([*command, "-t"], capture_output=True, text=True)
        assert tested.returncode == 0, tested.stderr
        self.process = subprocess.Popen(command)
        eventually(lambda: get(port, "/livez")[0] == 200, "nginx answers")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def get(port, target, fields=None, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, target, headers=fields or {})
        response = connection.getresponse()
        body = response.read()
        return response.status, response.headers, body
    finally:
        connection.close()


# What the first test puts in front: a proxy and nothing else.
PLAIN = """
worker_processes 2;
error_log stderr crit;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {directory}/client;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream replicas {{ {servers} }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_http_version 1.1;
            proxy_max_temp_file_size 0;
            proxy_pass http://replicas;
        }}
    }}
}}
"""


def servers(replicas):
    return " ".join(f"server 127.0.0.1:{replica.port} max_fails=1 fail_timeout=60s;" for replica in replicas)


def parallel_ranges(binary, nginx, directory):
    replicas = [Replica(binary) for _ in range(3)]
    port = free_port()
    proxy = Proxy(nginx, PLAIN.format(servers=servers(replicas), port=port, directory=directory), directory, port)
    parts = [bytearray() for _ in range(PARTS)]
    tags = set()
    broken = []
    problems = []
    begun = threading.Barrier(PARTS + 1)
    killed = threading.Event()

    def fetch(index, is_first):
        """Reads on from where the part is; whether it came to its end."""
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
        except Exception as error:  # A thread's end is not seen otherwise.
            problems.append(f"part {index}: {error!r}")
            begun.abort()
            killed.set()

    try:
        threads = [threading.Thread(target=work, args=(index,)) for index in range(PARTS)]
        for thread in threads:
            thread.start()
        begun.wait(timeout=60)
        replicas[1].kill()
        killed.set()
        for thread in threads:
            thread.join()
    finally:
        proxy.stop()
        for replica in replicas:
            replica.kill()
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


def deployed(replicas, port, directory, *, expires=False):
    """deploy/nginx.conf with the addresses and the directory of this test."""
    text = (HERE.parents[1] / "deploy" / "nginx.conf").read_text()
    changes = [
        (r"server weight-init:8080 [^;]*;", servers(replicas)),
        (r"listen 8080;", f"listen 127.0.0.1:{port};"),
    ]
    if expires:
        rule = "proxy_cache_revalidate on;"
        changes.append((rule, rule + " proxy_ignore_headers Cache-Control; proxy_cache_valid 200 206 1s;"))
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement, text)
        assert count == 1, f"deploy/nginx.conf has {count} times {pattern}"
    return text.replace("/var/cache/nginx", str(directory))


def cached(binary, nginx, directory):
    replicas = [Replica(binary) for _ in range(3)]
    port = free_port()
    proxy = Proxy(nginx, deployed(replicas, port, directory), directory, port)
    try:
        target = "/init?method=uniform&shape=4096,4096&seed=7&format=raw"
        direct = get(replicas[0].port, target)[2]
        # A range costs its pieces and not the whole.
        field = {"Range": "bytes=20000000-20000099"}
        status, fields, body = get(port, target, field)
        assert (status, fields["X-Cache-Status"]) == (206, "MISS"), (status, fields["X-Cache-Status"])
        assert body == direct[20000000:20000100]
        assert fields["Content-Range"] == f"bytes 20000000-20000099/{len(direct)}"

        def kept():
            return sum(path.stat().st_size for path in (directory / "weight-init").rglob("*") if path.is_file())

        # The rest of the piece comes after the range has been answered.
        eventually(lambda: 8 * MIB <= kept() < 9 * MIB, "the piece that holds the range is kept, and no other")
        status, fields, body = get(port, target, field)
        assert (status, fields["X-Cache-Status"], body) == (206, "HIT", direct[20000000:20000100])
        status, fields, body = get(port, target)
        assert status == 200 and body == direct
        tag = fields["ETag"]
        assert fields["Cache-Control"] == "public, max-age=31536000, immutable"
        # A model by its URL, and JSON, which has no ranges, go the same way.
        model = {"seed": 1, "layer": {"type": "Linear", "in_features": 64, "out_features": 32}, "format": "safetensors"}
        other = "/init?request=" + "".join(f"%{byte:02X}" for byte in json.dumps(model).encode())
        json_target = "/init?method=normal&shape=3000,10"
        for path in (other, json_target, "/init?method=zeros&shape=0&format=raw"):
            expected = get(replicas[0].port, path)[2]
            for state in ("MISS", "HIT"):
                status, fields, body = get(port, path)
                assert (status, fields["X-Cache-Status"]) == (200, state), (path, status, fields["X-Cache-Status"])
                assert body == expected, path
        # A replica's own affairs are not for those in front.
        assert get(port, "/metrics")[0] == 404
        assert get(port, "/livez")[0] == 200
        # Nobody is left to ask, and nobody has to be asked.
        for replica in replicas:
            replica.kill()
        status, fields, body = get(port, target)
        assert (status, fields["X-Cache-Status"]) == (200, "HIT"), (status, fields["X-Cache-Status"])
        assert body == direct
        status, fields, body = get(port, target, {"If-None-Match": tag})
        assert (status, body) == (304, b""), status
        status, fields, body = get(port, target, {"Range": "bytes=5-9", "If-Range": tag})
        assert (status, body) == (206, direct[5:10]), status
        print("a second fetch, in parts or whole, comes from the cache without any replica")
    finally:
        proxy.stop()
        for replica in replicas:
            replica.kill()


def revalidated(binary, nginx, directory):
    replicas = [Replica(binary) for _ in range(3)]
    port = free_port()
    proxy = Proxy(nginx, deployed(replicas, port, directory, expires=True), directory, port)
    try:
        target = "/init?method=normal&shape=1000&format=raw"
        first = get(port, target)
        assert first[1]["X-Cache-Status"] == "MISS"
        time.sleep(2.1)
        status, fields, body = get(port, target)
        assert (status, fields["X-Cache-Status"]) == (200, "REVALIDATED"), (status, fields["X-Cache-Status"])
        assert body == first[2] and fields["ETag"] == first[1]["ETag"]
        print("what has expired is revalidated by its tag, whichever replica answers")
    finally:
        proxy.stop()
        for replica in replicas:
            replica.kill()


def main():
    binary = sys.argv[1]
    nginx = sys.argv[2] if len(sys.argv) > 2 else shutil.which("nginx") or "/usr/sbin/nginx"
    for test in (parallel_ranges, cached, revalidated):
        with tempfile.TemporaryDirectory() as directory:
            test(binary, nginx, pathlib.Path(directory))


if __name__ == "__main__":
    main()
