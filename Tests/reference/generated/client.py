"""Asks a service, whose URL is the argument, with the client that openapi-python-client makes."""

import hashlib
import sys

from weight_init_client import Client
from weight_init_client.api.tensors import get_tensor, post_tensor
from weight_init_client.api.theory import get_gain
from weight_init_client.models import DType, Format, LayerEntry, LayersRequest, TensorRequest

SEED = 2**63 - 1


def digest(file):
    return hashlib.sha256(file.payload.read()).hexdigest()


client = Client(base_url=sys.argv[1])
raw = get_tensor.sync(
    client=client, method="uniform", shape="1000", seed=SEED, dtype=DType.FLOAT64, b=0.1, format_=Format.RAW
)
print("raw", digest(raw))
npy = get_tensor.sync(
    client=client, method="xavier_uniform", shape="64,32", seed=42, gain="leaky_relu:0.2", format_=Format.NPY
)
print("npy", digest(npy))
print("gain", get_gain.sync(client=client, nonlinearity="leaky_relu", param=0.2).gain)
request = TensorRequest(method="uniform", shape=[2], seed=SEED, dtype=DType.FLOAT64, b=0.1)
tensor = post_tensor.sync(client=client, body=request)
print("seed", tensor.seed)
print("effective_seed", tensor.effective_seed)
for element in tensor.data:
    print("element", element)
layer = LayerEntry(type_="Linear", name="fc")
layer["in_features"], layer["out_features"] = 3, 2
model = post_tensor.sync(client=client, body=LayersRequest(layers=[layer], dtype=DType.FLOAT64))
for element in model.tensors[1].data:
    print("bias", element)
