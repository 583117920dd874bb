"""Loads GPT-2 with transformers from HF_ENDPOINT, in the environment of `make test-models`; reads a revision per line.

    hub_load.py REPOSITORY FOLDER

Each load begins with an empty cache below FOLDER, which is removed afterwards. Prints a JSON object: the seconds of `from_pretrained`, and
a checksum of the weights.
"""

import json
import shutil
import sys
import tempfile
import time
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "clients/python/models"))
import catalogue

catalogue.declare_torchvision_operators()

from transformers import GPT2LMHeadModel

repository, folder = sys.argv[1:]
for line in sys.stdin:
    cache = tempfile.mkdtemp(dir=folder)
    start = time.perf_counter()
    model = GPT2LMHeadModel.from_pretrained(repository, revision=line.strip(), cache_dir=cache)
    seconds = time.perf_counter() - start
    check = 0
    for tensor in model.state_dict().values():
        check = zlib.crc32(tensor.numpy(), check)
    del model, tensor
    shutil.rmtree(cache)
    print(json.dumps({"seconds": seconds, "check": check}), flush=True)
