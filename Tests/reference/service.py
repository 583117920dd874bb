"""The program under test, for the checks beside this file and in Tests/page."""

import json
import pathlib
import signal
import subprocess
import tempfile
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Service:
    """The program under test, serving until the `with` block ends. With a token, it serves no request without it."""

    def __init__(self, program, *options, token=None):
        self.program = program
        self.options = options
        self.token = token
        self.fields = {"Authorization": f"Bearer {token}"} if token else {}

    def __enter__(self):
        with tempfile.NamedTemporaryFile("w") as tokens:
            options = list(self.options)
            if self.token:
                tokens.write(self.token)
                tokens.flush()
                options += ["--token-file", tokens.name]
            self.process = subprocess.Popen(
                [self.program, "serve", "--host", "127.0.0.1", "--port", "0", *options], stdout=subprocess.PIPE, text=True
            )
            line = self.process.stdout.readline()
        if "http://" not in line:
            raise SystemExit(f"{self.program} did not start: {line!r}")
        self.url = line.split()[-1]
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def get(self, path, **query):
        return self.read(urllib.request.Request(f"{self.url}{path}?{urllib.parse.urlencode(query)}", headers=self.fields))

    def post(self, path, document):
        headers = {"Content-Type": "application/json", **self.fields}
        return self.read(urllib.request.Request(self.url + path, json.dumps(document).encode(), headers))

    @staticmethod
    def read(request):
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.read()
