"""Sets up measured programs, and runs them pinned to a processor."""

import contextlib
import http.client
import json
import os
import platform
import re
import resource
import select
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TOOLS = HERE / ".tools"
MODELS = ".venv-models/.installed"

_cpus = sorted(os.sched_getaffinity(0))
SERVER_CPU, CLIENT_CPU = _cpus[0], _cpus[-1]

_binary = ROOT / ".build/release/weight-init"


class Unanswered(Exception):
    """A process ended, or gave no answer in time."""


# Builds


def choose(binary):
    """Builds the service, unless one is given."""
    global _binary
    if binary:
        _binary = binary.resolve()
    else:
        # The release build.
        _run("make", "--directory", ROOT, "build")


def set_up_models():
    """The Python environment with torchvision and the client, which `make test-models` uses too."""
    _run("make", "--directory", ROOT, MODELS)


def set_up(binary, with_python=True):
    """Builds the service, unless one is given, and the programs beside it; for PyTorch's part also the Python environment."""
    choose(binary)
    TOOLS.mkdir(exist_ok=True)
    kernels = ROOT / "Sources/CTorchKernels"
    # Swift's own compiler of C, as for the service.
    clang = Path(shutil.which("swift")).parent / "clang"
    fused = ROOT / "Sources/CFusedMultiplyAdd/include"
    _run(clang, "-O2", "-I", fused, "-I", kernels / "include", "-o", compiled("net"), HERE / "peers/net.c", *kernels.glob("*.c"), "-lm")
    _run("cc", "-O2", "-o", compiled("minimal"), HERE / "peers/minimal.c", "-lmicrohttpd")
    _run("cc", "-O2", "-shared", "-fPIC", "-fno-builtin", "-o", compiled("allocations.so"), HERE / "peers/allocations.c")
    if not with_python:
        return
    _run("swift", "build", "-c", "release", "--static-swift-stdlib", "--package-path", HERE)
    requirements = HERE / "requirements.txt"
    installed = HERE / ".venv/installed.txt"
    if not installed.exists() or installed.read_text() != requirements.read_text():
        _run("python3", "-m", "venv", HERE / ".venv")
        _run(HERE / ".venv/bin/pip", "install", "--quiet", "-r", requirements)
        installed.write_text(requirements.read_text())
    if not shutil.which("nginx") and os.geteuid() == 0 and shutil.which("apt-get"):
        # Without nginx, its section is skipped.
        subprocess.run(["apt-get", "install", "--yes", "-qq", "nginx-light"], stdout=subprocess.DEVNULL, check=False)


def _run(*words):
    command = [str(word) for word in words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        # swift writes its errors to standard output.
        raise SystemExit(f"{command}\n{done.stdout}{done.stderr}")


def binary():
    return _binary


def compiled(name):
    return TOOLS / name


def built(name):
    return HERE / ".build/release" / name


def torch_python():
    return HERE / ".venv/bin/python"


def models_python():
    return (ROOT / MODELS).with_name("bin") / "python"


def is_static():
    return "libswiftCore" not in _output("ldd", _binary)


def stripped_size():
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "weight-init"
        _run("strip", "-o", copy, _binary)
        return copy.stat().st_size


# The image


def image_archive(file, tag="weight-init"):
    """An image's archive, as `docker save` writes it, and None; or None and the reason.

    `file` is an existing archive. Without it, Docker saves its image `tag`.
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
    """Bytes of the files in an image's layers; if there are no layers, of the files in the archive itself."""
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
    """The approximate size that a registry would store and send."""
    packer, size = zlib.compressobj(6, zlib.DEFLATED, 31), 0
    with open(file, "rb") as plain:
        while piece := plain.read(1 << 20):
            size += len(packer.compress(piece))
    return size + len(packer.flush())


# Processes


def command(*words, cpus=(CLIENT_CPU,)):
    return ["taskset", "-c", ",".join(map(str, cpus)), *map(str, words)]


def client(*arguments, cpus=(CLIENT_CPU,)):
    """Runs a mode of peers/net.c; returns its measurement."""
    done = subprocess.run(command(compiled("net"), *arguments, cpus=cpus), capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise Unanswered(f"net {arguments}: {done.stderr or done.stdout}")
    return json.loads(done.stdout)


class Line:
    """A process that answers line by line, and ends with its standard input."""

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

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, line):
        self.tell(line)
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

    def __init__(self, words, place, cpus, environment={}):
        self.port = place
        # A server that is killed while it computes prints errors about lost clients.
        self.process = subprocess.Popen(
            command(*words, cpus=cpus), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | environment
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
        # Killed, because active computations could take long.
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Repeater:
    """Sends the same request again and again over one connection, each time with another seed in place of {}."""

    def __init__(self, port, method, target, body=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self.method, self.target, self.body = method, target, body
        self.seed = 1_000_000

    def send(self, times):
        for _ in range(times):
            self.seed += 1
            target, body = (text and text.replace("{}", str(self.seed)) for text in (self.target, self.body))
            self.connection.request(self.method, target, body, {"Content-Type": "application/json"} if body else {})
            response = self.connection.getresponse()
            said = response.read()
            if response.status != 200:
                raise Unanswered(f"{target}: {response.status} {said[:200]}")


def counts(words, place, requests, times):
    """Average instructions and allocations of a server for each of the named requests, over `times` repetitions."""
    with tempfile.TemporaryDirectory() as folder:
        instructions = _each(_instructions(words, place, Path(folder)), requests, times)
        allocations = _each(_allocations(words, place, Path(folder)), requests, times)
    return {name: (instructions[name], allocations[name]) for name in requests}


def _each(counter, requests, times):
    server, count = counter
    found = {}
    with server:
        for name, request in requests.items():
            repeater = Repeater(server.port, *request)
            # Work that is done only for the first requests.
            repeater.send(3)
            before = count()
            repeater.send(times)
            found[name] = (count() - before) / times
    return found


def _instructions(words, place, folder):
    """A server under callgrind, and a function that returns the instructions executed so far in user mode."""
    program, *arguments = words
    # callgrind cannot read all debug information of Swift.
    _run("strip", "-o", folder / "program", program)
    valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
    server = Server([*valgrind, folder / "program", *arguments], place, cpus=_cpus)
    total = 0

    def count():
        nonlocal total
        _run("callgrind_control", "--dump", str(server.pid))
        # Each dump counts from the previous dump.
        [dump] = [path for path in folder.glob("out.*")]
        total += int(re.search(r"^totals: (\d+)", dump.read_text(), re.MULTILINE)[1])
        dump.unlink()
        return total

    return server, count


def _allocations(words, place, folder):
    """A server whose allocations are counted, and a function that returns their number."""
    file = folder / "allocations"
    file.write_bytes(bytes(8))
    environment = {"LD_PRELOAD": str(compiled("allocations.so")), "ALLOCATIONS": str(file)}
    server = Server(words, place, cpus=_cpus, environment=environment)
    return server, lambda: int.from_bytes(file.read_bytes(), sys.byteorder)


class Crowd:
    """Idle connections, which become slow clients on demand."""

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
        """Half of the clients request a body and read a little now and then; the others send a request byte by byte."""
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


class Attackers:
    """Clients that repeat the same few costly requests, `each` of a kind at a time, and read all replies."""

    def __init__(self, port, requests, each):
        self.port = port
        self.asked = [self._text(path, request) for _, path, request in requests for _ in range(each)]
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run)

    @staticmethod
    def _text(path, request):
        body = json.dumps(request).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return head.encode() + b"Connection: close\r\n\r\n" + body

    def __enter__(self):
        self.selector = selectors.DefaultSelector()
        for text in self.asked:
            self._ask(text)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()

    def _ask(self, text):
        client = socket.create_connection(("127.0.0.1", self.port))
        client.setblocking(False)
        self.selector.register(client, selectors.EVENT_READ | selectors.EVENT_WRITE, [text, 0])

    def _run(self):
        while not self.ended.is_set():
            for key, events in self.selector.select(0.1):
                client, (text, sent) = key.fileobj, key.data
                try:
                    if events & selectors.EVENT_WRITE:
                        key.data[1] += client.send(text[sent:])
                        if key.data[1] == len(text):
                            self.selector.modify(client, selectors.EVENT_READ, key.data)
                    elif not client.recv(1 << 18):
                        raise ConnectionError
                except BlockingIOError:
                    pass
                except OSError:
                    # Answered completely, or refused before the request was complete.
                    self.selector.unregister(client)
                    client.close()
                    self._ask(text)


def probed(port, seconds, targets):
    """Measurements of simultaneous probes, by target. Probes have a higher priority on their processor."""
    command_of = lambda target: ["nice", "-n", "-10", compiled("net"), "probe", str(port), str(seconds), target]
    running = {target: subprocess.Popen(command_of(target), stdout=subprocess.PIPE, text=True) for target in targets}
    found = {}
    for target, process in running.items():
        said, _ = process.communicate(timeout=300)
        if process.returncode != 0:
            raise Unanswered(f"net probe {target}: {said}")
        found[target] = json.loads(said)
    return found


def outlived(port, path, body):
    """Seconds for which the work for a request continues after its client has left."""
    metrics = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def is_running():
        metrics.request("GET", "/metrics")
        return b"\nweight_init_work_running 0\n" not in metrics.getresponse().read()

    try:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(
                f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            while not is_running():
                pass
            # The client leaves in the middle of the work.
            time.sleep(0.05)
            assert is_running(), "the work was over before its client could leave"
        left = time.perf_counter()
        while is_running():
            pass
        return time.perf_counter() - left
    finally:
        metrics.close()


def _opened(port, target):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request("GET", target)
    reply = connection.getresponse()
    if reply.status != 200:
        raise Unanswered(f"{target}: {reply.status} {reply.read(200)}")
    return contextlib.closing(connection), reply


def fetched(port, target):
    connection, reply = _opened(port, target)
    with connection:
        return reply.read()


def download(port, target, file):
    connection, reply = _opened(port, target)
    with connection, open(file, "wb") as output:
        shutil.copyfileobj(reply, output, 1 << 20)


def first_byte(port, target):
    """Seconds from the connection's start to the first byte of the body; the rest is not read."""
    begun = time.perf_counter()
    connection, reply = _opened(port, target)
    with connection:
        assert reply.read(1), target
        return time.perf_counter() - begun


def swallowed(port, target):
    """Reads a whole body without keeping it; returns its length in bytes."""
    connection, reply = _opened(port, target)
    piece, total = bytearray(1 << 20), 0
    with connection:
        while count := reply.readinto(piece):
            total += count
    assert total == int(reply.headers["Content-Length"]), target
    return total


def hub_environment(port, folder):
    """Variables that make clients of the Hugging Face Hub use a server, and store files only in `folder`."""
    return {
        "HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(folder), "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error",
    }  # fmt: skip


class Nginx:
    """nginx with a file in memory, a fixed text and further `locations`; `port` is None if nginx is not installed.

    It also serves files that are put into `folder` later.
    """

    port = None

    def __init__(self, byte_count, locations=""):
        self.byte_count, self.locations = byte_count, locations

    def __enter__(self):
        # The second is what `make test-replicas` unpacks.
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:{ROOT}/.build/debian/usr/sbin")
        if not program:
            return self
        self.temporary = tempfile.TemporaryDirectory(dir="/dev/shm")
        self.folder = Path(self.temporary.name)
        folder, port = self.folder, free_port()
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
                    {self.locations}
                }}
            }}""")
        self.server = Server([program, "-c", str(folder / "nginx.conf")], port, cpus=(SERVER_CPU,))
        self.port = port
        return self

    def __exit__(self, *_):
        if self.port is not None:
            self.server.__exit__()
            self.temporary.cleanup()


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
    """Processor time that all threads of a process have used so far."""
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
