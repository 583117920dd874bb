"""Replicas of the service, and proxies in front of them: nginx and HAProxy with test configurations."""

import http.client
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "reference"))
from ports import free_port

MIB = 1 << 20


def tools(unpacked):
    """The environment for programs of Debian packages that were unpacked, not installed."""
    root = pathlib.Path(unpacked).resolve()
    paths = [str(root / "usr/sbin"), str(root / "usr/bin"), *os.environ["PATH"].split(":"), "/usr/sbin"]
    libraries = [str(path) for path in (root / "usr/lib").glob("*-linux-gnu")]
    return os.environ | {"PATH": ":".join(paths), "LD_LIBRARY_PATH": ":".join(libraries)}


def eventually(condition, what):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if condition():
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.05)
    raise AssertionError(f"not within 60 s: {what}")


def get(port, target, fields=None, method="GET", body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, target, body, headers=fields or {})
        response = connection.getresponse()
        body = response.read()
        return response.status, response.headers, body
    finally:
        connection.close()


class Replica:
    """One process of the service, which keeps its port when it is restarted."""

    def __init__(self, binary, environment=None):
        self.binary, self.environment, self.port = binary, os.environ | (environment or {}), free_port()
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [self.binary, "serve", "--port", str(self.port)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self.environment,
        )  # fmt: skip
        line = self.process.stdout.readline()
        assert line.rsplit(":", 1)[-1].strip() == str(self.port), f"it did not start: {line!r}"

    def served(self):
        """Number of requests that it has answered, those for its metrics apart."""
        counts = re.findall(
            r'^http_server_request_duration_seconds_count\{route="([^"]*)",status="[^"]*"\} (\d+)$',
            get(self.port, "/metrics")[2].decode(), re.MULTILINE,
        )  # fmt: skip
        return sum(int(count) for route, count in counts if route != "/metrics")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


class Proxy:
    """A proxy that `command` starts in the foreground, and that runs until the `with` block ends."""

    def __init__(self, command, port, environment):
        self.port = port
        # Its messages about missing replicas are of no interest.
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        eventually(lambda: get(port, "/livez")[0] == 200, f"{command[0]} answers")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def nginx(configuration, directory, port, environment):
    """nginx with its configuration and all its files in `directory`."""
    path = directory / "nginx.conf"
    path.write_text(configuration)
    # Its workers may run as another user, and must have access to the cache.
    directory.chmod(0o777)
    options = f"daemon off; pid {directory}/nginx.pid;"
    command = [shutil.which("nginx", path=environment["PATH"]), "-p", str(directory), "-c", str(path), "-g", options]
    tested = subprocess.run([*command, "-t"], capture_output=True, text=True, env=environment)
    assert tested.returncode == 0, tested.stderr
    return Proxy(command, port, environment)


def servers(replicas, again="60s"):
    """Lines for nginx's `upstream`; a failed replica is tried again after the time `again`."""
    return " ".join(f"server 127.0.0.1:{replica.port} max_fails=1 fail_timeout={again};" for replica in replicas)


# A plain proxy. `how` sets the protocol between proxy and replicas.
PLAIN = """
worker_processes 2;
error_log stderr emerg;
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
            {how}
            proxy_pass http://replicas;
        }}
    }}
}}
"""
STREAMED = "proxy_http_version 1.1; proxy_max_temp_file_size 0;"


def plain_nginx(replicas, directory, environment, how=STREAMED, again="60s"):
    port = free_port()
    text = PLAIN.format(servers=servers(replicas, again), port=port, directory=directory, how=how)
    return nginx(text, directory, port, environment)


def deployed_nginx(replicas, directory, environment, *, expires=False, again="60s"):
    """nginx with deploy/nginx.conf, changed to the addresses and the directory of a test."""
    port = free_port()
    text = (HERE.parents[1] / "deploy" / "nginx.conf").read_text()
    changes = [
        (r"server weight-init:8080 [^;]*;", servers(replicas, again)),
        (r"listen 8080;", f"listen 127.0.0.1:{port};"),
    ]
    if expires:
        rule = "proxy_cache_revalidate on;"
        changes.append((rule, rule + " proxy_ignore_headers Cache-Control; proxy_cache_valid 200 206 1s;"))
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement, text)
        assert count == 1, f"deploy/nginx.conf has {count} times {pattern}"
    return nginx(text.replace("/var/cache/nginx", str(directory)), directory, port, environment)


HAPROXY = """
defaults
    mode http
    timeout connect 10s
    # A check that is answered late is no dead replica; that one refuses connections.
    timeout check 10s
    timeout client 60s
    timeout server 60s
    option redispatch
    retries 3
frontend front
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
    balance roundrobin
    option httpchk GET /livez
    {servers}
"""


def haproxy(replicas, directory, environment):
    port = free_port()
    lines = [f"server r{replica.port} 127.0.0.1:{replica.port} check inter 200ms rise 1 fall 1" for replica in replicas]
    path = directory / "haproxy.cfg"
    path.write_text(HAPROXY.format(port=port, servers="\n    ".join(lines)))
    program = shutil.which("haproxy", path=environment["PATH"])
    return Proxy([program, "-q", "-db", "-f", str(path)], port, environment)


class Fleet:
    """Three replicas and the proxies in front of them, all of which end with the exit stack `ends`."""

    def __init__(self, ends, binary, environment, directory):
        self.ends, self.environment, self.directory = ends, environment, pathlib.Path(directory)
        self.replicas = [ends.enter_context(Replica(binary)) for _ in range(3)]

    def front(self, make, **how):
        """Puts a proxy in front, which `make` starts, such as `plain_nginx`; returns its port."""
        return self.ends.enter_context(make(self.replicas, self.directory, self.environment, **how)).port
