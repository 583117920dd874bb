"""PyTorch's side of measurements in process: reads one command per line, prints the seconds it took.

tensor METHOD DTYPE SHAPE THREADS    seed, then torch.nn.init.METHOD_ on an allocated tensor
numbers LIBRARY ELEMENTS             float32 normals to JSON text by orjson or json
"""

import json
import sys
import time

import numpy
import orjson
import torch

CALLS = {
    "uniform": torch.nn.init.uniform_,
    "normal": torch.nn.init.normal_,
    "trunc_normal": torch.nn.init.trunc_normal_,
    "kaiming_normal": torch.nn.init.kaiming_normal_,
    "orthogonal": torch.nn.init.orthogonal_,
    "constant": lambda tensor: torch.nn.init.constant_(tensor, 0.5),
    "eye": torch.nn.init.eye_,
    "dirac": torch.nn.init.dirac_,
    "sparse": lambda tensor: torch.nn.init.sparse_(tensor, 0.1),
}


def timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


class Worker:
    tensor = torch.empty(0)
    numbers = (0, None, None)

    def make(self, method, dtype, shape, threads):
        shape = [int(size) for size in shape.split(",")]
        dtype = getattr(torch, dtype)
        if self.tensor.dtype != dtype or list(self.tensor.shape) != shape:
            self.tensor = torch.zeros(0)
            # Touched, so that page faults are not measured.
            self.tensor = torch.zeros(shape, dtype=dtype)
        torch.set_num_threads(int(threads))

        def call():
            torch.manual_seed(42)
            CALLS[method](self.tensor)

        return timed(call)

    def write(self, library, elements):
        elements = int(elements)
        if self.numbers[0] != elements:
            array = torch.empty(elements).normal_().numpy()
            self.numbers = (elements, array, array.tolist())
        _, array, numbers = self.numbers
        if library == "orjson":
            return timed(lambda: orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY))
        return timed(lambda: json.dumps(numbers))


worker = Worker()
print(json.dumps({"torch": torch.__version__, "numpy": numpy.__version__, "orjson": orjson.__version__}), flush=True)
with torch.no_grad():
    for line in sys.stdin:
        command, *arguments = line.split()
        print({"tensor": worker.make, "numbers": worker.write}[command](*arguments), flush=True)
