"""Asks a service, whose URL is the first argument, with the client that openapi-python-client makes. Then reads the requests in the
folder that is the second argument, and writes each back beside it; asks for the plan of those whose name begins with "plan-".
"""

import hashlib
import json
import os
import pathlib
import sys

from weight_init_client import AuthenticatedClient
from weight_init_client.api.tensors import get_tensor, post_plan, post_tensor
from weight_init_client.api.theory import get_gain
from weight_init_client.models import DType, Entry, Format, InitRequest

SEED = 2**63 - 1


def digest(file):
    return hashlib.sha256(file.payload.read()).hexdigest()


client = AuthenticatedClient(base_url=sys.argv[1], token=os.environ["WEIGHT_INIT_TOKEN"])
raw = get_tensor.sync(
    client=client, method="uniform", shape="1000", seed=SEED, dtype=DType.FLOAT64, b=0.1, format_=Format.RAW
)
print("raw", digest(raw))
npy = get_tensor.sync(
    client=client, method="xavier_uniform", shape="64,32", seed=42, gain="leaky_relu:0.2", format_=Format.NPY
)
print("npy", digest(npy))
print("gain", get_gain.sync(client=client, nonlinearity="leaky_relu", param=0.2).gain)
request = InitRequest(method="uniform", shape=[2], seed=SEED, dtype=DType.FLOAT64, b=0.1)
tensor = post_tensor.sync(client=client, body=request)
print("seed", tensor.seed)
print("effective_seed", tensor.effective_seed)
for element in tensor.data:
    print("element", element)
layer = Entry(type_="Linear", name="fc")
layer["in_features"], layer["out_features"] = 3, 2
model = post_tensor.sync(client=client, body=InitRequest(layers=[layer], dtype=DType.FLOAT64))
for element in model.tensors[1].data:
    print("bias", element)
for path in sorted(pathlib.Path(sys.argv[2]).glob("*.json")):
    request = InitRequest.from_dict(json.loads(path.read_text()))
    path.with_suffix(".json.back").write_text(json.dumps(request.to_dict()))
    if path.name.startswith("plan-"):
        reply = post_plan.sync_detailed(client=client, body=request)
        print("plan", path.name, reply.headers["ETag"], reply.parsed.sha256)
