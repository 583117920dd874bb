"""A client that sends exactly the given bytes, and a service to send them to."""

import pathlib
import re
import select
import signal
import socket
import struct
import subprocess
import tempfile
import time

# Seconds after which a missing answer counts as a hang. Every right answer of the attacks takes milliseconds, and at most
# seconds beside other programs.
PATIENCE = 60


class Hang(AssertionError):
    """Nothing arrived within `PATIENCE`."""


class Reply:
    """One response: status, fields by their lower-case names, and the body without chunk framing."""

    def __init__(self, status, fields, body, is_whole):
        self.status, self.fields, self.body, self.is_whole = status, fields, body, is_whole

    def __repr__(self):
        return f"{self.status} {self.body[:200]!r}"


class Connection:
    """A connection over TCP. Reads replies one by one, or everything until the other end closes."""

    def __init__(self, port, receive_buffer=None, patience=PATIENCE):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(patience)
        self.socket.connect(("127.0.0.1", port))
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def reset(self):
        """Closes the connection so that the other end gets a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def fill(self):
        """Receives once; false at the end of the stream."""
        try:
            piece = self.socket.recv(1 << 16)
        except TimeoutError:
            raise Hang(f"no byte within {self.socket.gettimeout()} s") from None
        except ConnectionResetError:
            piece = b""
        self.buffer += piece
        return bool(piece)

    def take(self, count):
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def line(self):
        while b"\r\n" not in self.buffer:
            if not self.fill():
                raise AssertionError(f"the connection ended in the middle of a line: {self.buffer[:100]!r}")
        return self.take(self.buffer.index(b"\r\n") + 2)[:-2]

    def exactly(self, count):
        pieces, missing = [], count
        while missing:
            if not self.buffer and not self.fill():
                break
            pieces.append(self.take(missing))
            missing -= len(pieces[-1])
        return b"".join(pieces)

    def head(self):
        status = int(self.line().split()[1])
        fields = {}
        while line := self.line():
            name, _, value = line.decode("latin-1").partition(":")
            fields[name.lower()] = value.strip()
        return status, fields

    def reply(self, is_head=False):
        """The next response, final or 100."""
        return self.reply_after(*self.head(), is_head)

    def reply_after(self, status, fields, is_head=False):
        """The response whose head has been read."""
        if is_head or status in (100, 204, 304):
            return Reply(status, fields, b"", True)
        if fields.get("transfer-encoding") == "chunked":
            pieces = []
            while size := int(self.line(), 16):
                pieces.append(self.exactly(size))
                self.line()
            self.line()
            return Reply(status, fields, b"".join(pieces), True)
        if "content-length" in fields:
            length = int(fields["content-length"])
            body = self.exactly(length)
            return Reply(status, fields, body, len(body) == length)
        return Reply(status, fields, self.rest(), True)

    def rest(self):
        """All bytes until the other end closes."""
        pieces = [self.take(len(self.buffer))]
        while self.fill():
            pieces.append(self.take(len(self.buffer)))
        return b"".join(pieces)

    def has_answer(self):
        """True if bytes wait to be read."""
        return bool(self.buffer) or bool(select.select([self.socket], [], [], 0)[0])


class Service:
    """The program under test on a free port. `before` is a command that starts it, such as prlimit."""

    def __init__(self, program, *options, before=(), environment=None):
        # A file, because a full pipe would block the service.
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [*before, program, "serve", "--port", "0", *options],
            stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment,
        )  # fmt: skip
        line = self.process.stdout.readline()
        if "http" not in line:
            raise AssertionError(f"it did not start: {self.said()}")
        self.port = int(line.rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        """Kills the service, whatever it is doing."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def said(self):
        """The end of the service's standard error."""
        self.log.seek(0)
        return self.log.read()[-400:]

    def connect(self, **how):
        return Connection(self.port, **how)

    def ask(self, data, is_head=False, **how):
        """The reply to one request on a new connection."""
        with self.connect(**how) as connection:
            connection.send(data)
            return connection.reply(is_head)

    def check(self, **how):
        """Checks that every thread answers a small request correctly."""
        if self.process.poll() is not None:
            raise AssertionError(f"the service ended with {self.process.returncode}: {self.said()}")
        for _ in range(4):
            reply = self.ask(get("/gain?nonlinearity=leaky_relu&param=0.2"), **how)
            assert reply.status == 200 and b"1.3867504905630728" in reply.body, f"/gain answered {reply}"

    def metric(self, name):
        body = self.ask(get("/metrics")).body.decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", body, re.MULTILINE)
        assert found, f"/metrics has no {name}"
        return float(found[1])

    def status(self, field):
        """A field of /proc/PID/status in KiB."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s*(\d+)", text, re.MULTILINE)[1])

    def terminate(self, signals=(signal.SIGTERM,)):
        for each in signals:
            self.process.send_signal(each)


def eventually(condition, what, patience=PATIENCE):
    """Waits until the condition holds."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise Hang(f"not within {patience} s: {what}")
        time.sleep(0.02)


def head(line, *fields, host="a"):
    """A head with a Host, ended by an empty line."""
    return "\r\n".join([f"{line} HTTP/1.1", f"Host: {host}", *fields, "", ""]).encode()


def get(target, *fields):
    return head(f"GET {target}", *fields)


def post(target, body, *fields):
    """A POST of JSON; `body` is text or bytes."""
    data = body if isinstance(body, bytes) else body.encode()
    return head(f"POST {target}", "Content-Type: application/json", f"Content-Length: {len(data)}", *fields) + data
