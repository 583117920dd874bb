"""Sets up what is measured, and runs it pinned to a processor."""

import json
import os
import platform
import resource
import select
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TOOLS = HERE / ".tools"

_cpus = sorted(os.sched_getaffinity(0))
SERVER_CPU, CLIENT_CPU = _cpus[0], _cpus[-1]

_binary = ROOT / ".build/release/weight-init"


class Unanswered(Exception):
    """A process ended, or said nothing in time."""


# What is built


def set_up(binary):
    """Builds the service, unless one is given, the programs beside it, and the Python environment."""
    global _binary
    if binary:
        _binary = binary.resolve()
    else:
        # As it is shipped.
        _run("make", "--directory", ROOT, "build")
    _run("swift", "build", "-c", "release", "--static-swift-stdlib", "--package-path", HERE)
    TOOLS.mkdir(exist_ok=True)
    kernels = ROOT / "Sources/CTorchKernels"
    # Swift's own compiler of C, as for the service.
    clang = Path(shutil.which("swift")).parent / "clang"
    _run(clang, "-O2", "-I", kernels / "include", "-o", compiled("net"), HERE / "peers/net.c", *kernels.glob("*.c"), "-lm")
    _run("cc", "-O2", "-o", compiled("minimal"), HERE / "peers/minimal.c", "-lmicrohttpd")
    requirements = HERE / "requirements.txt"
    installed = HERE / ".venv/installed.txt"
    if not installed.exists() or installed.read_text() != requirements.read_text():
        _run("python3", "-m", "venv", HERE / ".venv")
        _run(HERE / ".venv/bin/pip", "install", "--quiet", "-r", requirements)
        installed.write_text(requirements.read_text())
    if not shutil.which("nginx") and os.geteuid() == 0 and shutil.which("apt-get"):
        # One without it is a section less.
        subprocess.run(["apt-get", "install", "--yes", "-qq", "nginx-light"], stdout=subprocess.DEVNULL, check=False)


def _run(*words):
    command = [str(word) for word in words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        # swift writes what is wrong to its standard output.
        raise SystemExit(f"{command}\n{done.stdout}{done.stderr}")


def binary():
    return _binary


def compiled(name):
    return TOOLS / name


def built(name):
    return HERE / ".build/release" / name


def torch_python():
    return HERE / ".venv/bin/python"


def is_static():
    return "libswiftCore" not in _output("ldd", _binary)


def stripped_size():
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "weight-init"
        _run("strip", "-o", copy, _binary)
        return copy.stat().st_size


# The image


def image_archive(file, tag="weight-init"):
    """A file of an image as `docker save` writes it, and None; or None, and why there is none.

    `file` is one that is there already. Else the engine of Docker is asked for `tag`.
    """
    if file:
        return file, None
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        return None, "no engine of Docker answers, and no archive was given by --image"
    saved = TOOLS / "image.tar"
    if subprocess.run(["docker", "save", "--output", saved, tag], capture_output=True, check=False).returncode:
        return None, f"there is no image {tag}: `docker build -t {tag} .` makes it"
    return saved, None


def unpacked_size(archive):
    """Bytes of the files in an image's layers; where there are no layers, of the files in the archive itself."""
    with tarfile.open(archive) as outer:
        names = outer.getnames()
        if "manifest.json" not in names:
            return sum(member.size for member in outer)
        layers = json.load(outer.extractfile("manifest.json"))[0]["Layers"]
        size = 0
        for layer in layers:
            with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
                size += sum(member.size for member in inner)
        return size


def gzipped_size(file):
    """What a registry would keep and send, about."""
    packer, size = zlib.compressobj(6, zlib.DEFLATED, 31), 0
    with open(file, "rb") as plain:
        while piece := plain.read(1 << 20):
            size += len(packer.compress(piece))
    return size + len(packer.flush())


# What runs


def command(*words, cpus=(CLIENT_CPU,)):
    return ["taskset", "-c", ",".join(map(str, cpus)), *map(str, words)]


def client(*arguments, cpus=(CLIENT_CPU,)):
    """Runs a mode of peers/net.c; what it measured."""
    done = subprocess.run(command(compiled("net"), *arguments, cpus=cpus), capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise Unanswered(f"net {arguments}: {done.stderr or done.stdout}")
    return json.loads(done.stdout)


class Line:
    """A process that is asked and answers line by line, and ends with its standard input."""

    def __init__(self, *words, cpus, environment={}):
        self.process = subprocess.Popen(
            command(*words, cpus=cpus), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | environment,
        )  # fmt: skip

    @property
    def pid(self):
        return self.process.pid  # taskset becomes what it starts

    def read(self, seconds=300):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            raise Unanswered(f"{self.process.args}")
        return line

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return float(self.read())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Server:
    """A server on a port of this machine, or at the path of a socket."""

    def __init__(self, words, place, cpus):
        self.port = place
        # A server that is ended while it computes complains about the clients that have gone.
        self.process = subprocess.Popen(
            command(*words, cpus=cpus), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise Unanswered(f"{words}")
            time.sleep(0.01)

    def _answers(self):
        is_path = isinstance(self.port, Path)
        with socket.socket(socket.AF_UNIX if is_path else socket.AF_INET) as probe:
            return probe.connect_ex(str(self.port) if is_path else ("127.0.0.1", self.port)) == 0

    @property
    def pid(self):
        return self.process.pid  # taskset becomes what it starts

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Not to wait for what is still being computed.
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Crowd:
    """Connections that are open and want nothing, until they are told to be slow."""

    def __init__(self, port, count):
        limit, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit < count + 100:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(count + 100, highest), highest))
        self.port, self.count = port, count
        self.ended = threading.Event()
        self.thread = None

    def __enter__(self):
        self.sockets = []
        for _ in range(self.count):
            each = socket.socket()
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            each.connect(("127.0.0.1", self.port))
            self.sockets.append(each)
        return self

    def slow(self, target):
        """Every other one asks for a body and reads a little now and then; the others send a request byte by byte."""
        readers, senders = self.sockets[::2], self.sockets[1::2]
        for each in readers:
            each.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        for each in senders:
            each.sendall(b"GET /gain HTTP/1.1\r\nHost: a\r\nX: ")
        self.thread = threading.Thread(target=self._trickle, args=(readers, senders))
        self.thread.start()

    def _trickle(self, readers, senders):
        while not self.ended.wait(0.1):
            for reader, sender in zip(readers, senders):
                reader.recv(1000)
                sender.sendall(b"x")

    def __exit__(self, *_):
        self.ended.set()
        if self.thread:
            self.thread.join()
        for each in self.sockets:
            each.close()


class Nginx:
    """nginx with a file in memory and a fixed text; `port` is None where it is not installed."""

    port = None

    def __init__(self, byte_count):
        self.byte_count = byte_count

    def __enter__(self):
        program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        if not program:
            return self
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm")
        folder, port = Path(self.folder.name), free_port()
        folder.chmod(0o755)
        with open(folder / "body", "wb") as file:
            for _ in range(self.byte_count >> 20):
                file.write(bytes(1 << 20))
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(f"""
            {user} daemon off; master_process off; pid {folder}/pid; error_log stderr error;
            events {{ worker_connections 128; }}
            http {{
                access_log off; sendfile on; tcp_nodelay on; keepalive_requests 100000000;
                client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
                uwsgi_temp_path {folder}; scgi_temp_path {folder};
                server {{
                    listen 127.0.0.1:{port}; root {folder};
                    location = /small {{ default_type application/json; return 200 '{{"gain":1.4142135623730951}}'; }}
                }}
            }}""")
        self.server = Server([program, "-c", str(folder / "nginx.conf")], port, cpus=(SERVER_CPU,))
        self.port = port
        return self

    def __exit__(self, *_):
        if self.port is not None:
            self.server.__exit__()
            self.folder.cleanup()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def status_kib(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise Unanswered(f"{field} of {pid}")


def processor_seconds(pid):
    """What all threads of a process have used so far."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


# The machine


def _cpu():
    fields = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    return fields


def best_kernel():
    flags = set(_cpu().get("flags", "").split())
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags:
        return "avx512"
    return "avx2" if {"avx2", "fma"} <= flags else "portable"


def _output(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip()


def environment():
    cpu = _cpu()
    versions = {
        name: _output(torch_python(), "-c", f"from importlib.metadata import version; print(version('{name}'))")
        for name in ("torch", "numpy", "orjson", "fastapi", "uvicorn")
    }
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    return {
        "processor": f"{cpu.get('model name', platform.machine())} (family {cpu.get('cpu family')}, model {cpu.get('model')})",
        "kernels": best_kernel(),
        "processors": len(_cpus),
        "memory": f"{memory:.0f} GiB",
        "system": _output("sh", "-c", ". /etc/os-release; echo $PRETTY_NAME"),
        "kernel": platform.release(),
        "congestion control": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
        "service": _output(_binary, "--version"),
        "revision": _output("git", "-C", ROOT, "rev-parse", "--short", "HEAD"),
        "swift": _output("swift", "--version").splitlines()[0],
        "libmicrohttpd": _output("pkg-config", "--modversion", "libmicrohttpd"),
        "python": platform.python_version(),
        **versions,
    }
