"""Three clients in three languages start a federated training from the same weights. They get a URL instead of the weights.

    pip install ../clients/python
    python federated.py

Each client prints the SHA-256 of its tensors, one after the other. A coordinator accepts clients with the same digest.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import urllib.request

from weight_init import Client

SERVICE = os.environ.get("WEIGHT_INIT_URL", "http://localhost:8080")
TOKEN = os.environ.get("WEIGHT_INIT_TOKEN")
FIELDS = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}
REQUEST = json.loads((pathlib.Path(__file__).parent / "models" / "mlp.json").read_text())
SEED = 42

# A safetensors file is 8 bytes that hold the length of its header, the header, and the tensors.
JAVASCRIPT = """
const token = process.env.WEIGHT_INIT_TOKEN;
const headers = token ? { Authorization: `Bearer ${token}` } : {};
const file = Buffer.from(await (await fetch(process.argv[1], { headers })).arrayBuffer());
const tensors = file.subarray(8 + Number(file.readBigUInt64LE()));
console.log(require("crypto").createHash("sha256").update(tensors).digest("hex"));
"""
SHELL = """
set -e
file=$(mktemp)
trap 'rm "$file"' EXIT
curl -sSf ${WEIGHT_INIT_TOKEN:+-H "Authorization: Bearer $WEIGHT_INIT_TOKEN"} -o "$file" "$1"
header=$(od -An -tu8 -N8 "$file")
tail -c +$((9 + header)) "$file" | sha256sum | cut -d ' ' -f 1
"""


def address():
    """The canonical URL of the request, the same for every replica of the service and every cache."""
    body = json.dumps({**REQUEST, "seed": SEED, "format": "safetensors"}).encode()
    ask = urllib.request.Request(f"{SERVICE}/explain", body, {"Content-Type": "application/json", **FIELDS})
    with urllib.request.urlopen(ask, timeout=60) as reply:
        return SERVICE + json.load(reply)["url"]


def python(url):
    tensors = Client(SERVICE, TOKEN).arrays(REQUEST, SEED)
    return hashlib.sha256(b"".join(tensor.tobytes() for tensor in tensors.values())).hexdigest()


def javascript(url):
    # `--eval` runs a script, not a module, and only a module may have `await` outside of a function.
    program = f"(async () => {{ {JAVASCRIPT} }})()"
    return subprocess.run(["node", "--eval", program, url], capture_output=True, text=True, check=True).stdout.strip()


def shell(url):
    return subprocess.run(["sh", "-c", SHELL, "sh", url], capture_output=True, text=True, check=True).stdout.strip()


url = address()
digests = {client.__name__: client(url) for client in (python, javascript, shell)}
for language, digest in digests.items():
    print(f"{language:10} {digest}")
if len(set(digests.values())) != 1:
    raise SystemExit("the clients do not start from the same weights")
