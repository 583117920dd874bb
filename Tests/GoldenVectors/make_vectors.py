#!/usr/bin/env python3
"""Makes golden vectors with PyTorch, or checks existing ones.

    python make_vectors.py --seed 7 --count 300 --output more     # new vectors, the same ones for the same seed
    python make_vectors.py --check visible/cases.jsonl            # recompute every line from its inputs

README.md says how the lines are read. Needs torch 2.13.0 on an x86-64 processor with AVX2, and numpy.
"""
import argparse
import collections
import hashlib
import inspect
import json
import math
import pathlib
import random
import shutil
import sys
import warnings

import numpy
import torch

VERSION = "2.13.0"
DTYPES = ["float32", "float64", "float16", "bfloat16"]
NONLINEARITIES = ["linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
                  "sigmoid", "tanh", "relu", "leaky_relu", "selu"]


# Bytes and digits

def little_endian(tensor):
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def hexes(tensor):
    return [float(value).hex() for value in tensor.reshape(-1)]


def bits(tensor):
    data, size = little_endian(tensor), tensor.element_size()
    return [data[at:at + size][::-1].hex() for at in range(0, len(data), size)]


def next_random31():
    return int(torch.empty((), dtype=torch.int32).random_())


# PyTorch's results for a case's inputs. Each function adds its results to the record.

def initialise(step):
    tensor = torch.empty(step["shape"], dtype=getattr(torch, step["dtype"]))
    return getattr(torch.nn.init, step["method"])(tensor, **step["params"])


def complete_init(case, arrays):
    torch.manual_seed(case["seed"])
    tensor = initialise(case)
    flat, values = tensor.reshape(-1), tensor.double().numpy()
    case |= {"numel": tensor.numel(), "sha256": digest(little_endian(tensor)),
             "first8": hexes(flat[:8]), "last8": hexes(flat[-8:]),
             "first8_bits": bits(flat[:8]), "last8_bits": bits(flat[-8:]),
             "mean": float(values.mean()) if values.size else None,
             "std": float(values.std()) if values.size else None,
             "next_random31": next_random31(), "compare": "bits"}
    if case["method"] == "orthogonal_" and tensor.numel():
        torch.manual_seed(case["seed"])
        drawn = torch.nn.init.normal_(torch.empty_like(tensor)).reshape(tensor.shape[0], -1)
        condition = float(numpy.linalg.cond(drawn.double().numpy()))
        unit = 2.0 ** (-24 if tensor.dtype == torch.float32 else -53)
        case |= {"compare": "tolerance", "cond": condition,
                 "abs_tol": unit * (32 + 4 * condition) * max(1.0, abs(case["params"].get("gain", 1))),
                 "npy": f"ortho/{case['id']}.npy"}
        arrays[case["npy"]] = tensor.numpy()


def complete_sequence(case, arrays):
    torch.manual_seed(case["seed"])
    for step in case["steps"]:
        tensor = initialise(step)
        flat = tensor.reshape(-1)
        step |= {"sha256": digest(little_endian(tensor)), "first8": hexes(flat[:8]), "first8_bits": bits(flat[:8])}
    case |= {"next_random31": next_random31(), "compare": "bits"}


def complete_error(case, arrays):
    try:
        torch.manual_seed(case["seed"])
        if case["kind"] == "error":
            initialise(case)
    except Exception as error:
        case |= {"error_type": type(error).__name__, "error_message": str(error).split("\n")[0]}
    else:
        raise AssertionError(f"PyTorch takes {case}")


def complete_gain(case, arrays):
    case["value_hex"] = float(torch.nn.init.calculate_gain(case["nonlinearity"], case["param"])).hex()


def complete_randperm(case, arrays):
    torch.manual_seed(case["seed"])
    permutation = torch.randperm(case["n"])
    case |= {"dtype": "int64", "sha256": digest(little_endian(permutation)),
             "first8_int": permutation[:8].tolist(), "next_random31": next_random31()}


def complete_raw(case, arrays):
    torch.manual_seed(case["seed"])
    # A 64-bit draw is two words, the high one first.
    pairs = torch.empty(case["n_words"] // 2, dtype=torch.int64).random_(-2 ** 63, None).numpy().view(numpy.uint32)
    words = pairs.reshape(-1, 2)[:, ::-1].reshape(-1)
    case |= {"sha256": digest(words.astype("<u4").tobytes()),
             "first8_u32": words[:8].tolist(), "last8_u32": words[-8:].tolist()}


def make_layer(kind, arguments, dtype):
    """A layer of torch.nn; layers without parameters take no dtype."""
    layer = getattr(torch.nn, kind)
    takes_dtype = issubclass(layer, torch.nn.RNNBase) or "dtype" in inspect.signature(layer).parameters
    return layer(**arguments, **({"dtype": dtype} if takes_dtype else {}))


def complete_model(case, arrays):
    torch.manual_seed(case["seed"])
    dtype = getattr(torch, case["dtype"])
    layers = [make_layer(layer["type"], layer["args"], dtype) for layer in case["layers"]]
    case["tensors"] = [
        {"name": name, "shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch."),
         "sha256": digest(little_endian(tensor)),
         "first4": hexes(tensor.reshape(-1)[:4]), "first4_bits": bits(tensor.reshape(-1)[:4])}
        for name, tensor in torch.nn.ModuleList(layers).state_dict().items()]
    case |= {"next_random31": next_random31(), "compare": "bits"}


COMPLETE = {"init": complete_init, "sequence": complete_sequence, "error": complete_error,
            "seed_error": complete_error, "gain": complete_gain, "randperm": complete_randperm,
            "raw": complete_raw, "model": complete_model}


# Inputs, drawn with Python's own generator.

def random_seed(rng):
    low = rng.choice([rng.randrange(2048), rng.randrange(2 ** 32)])
    return rng.choice([low, low, rng.randrange(-2 ** 63, 2 ** 64), low + 2 ** 32 * rng.randrange(2 ** 31), -low - 1])


def random_shape(rng, least=0, most=5):
    """A shape near a size at which PyTorch changes its algorithm: 0 elements, 16 elements, every remainder by 16."""
    rank = rng.choice([rank for rank in [0, 1, 1, 1, 2, 2, 3, 4, 5] if least <= rank <= most])
    if rank == 1:
        return [rng.choice([0, rng.randint(1, 40), 16 * rng.randint(1, 80) + rng.randrange(16)])]
    shape = [rng.randint(1, {2: 40, 3: 12, 4: 8, 5: 5}.get(rank, 1)) for _ in range(rank)]
    if rank and rng.random() < 0.08:
        shape[rng.randrange(rank)] = 0
    return shape


def number(rng, low, high):
    return rng.choice([rng.uniform(low, high), round(rng.uniform(low, high), 3)])


def random_uniform(rng):
    a, b = sorted([number(rng, -2, 2), number(rng, -2, 2)])
    return rng.choice([{}, {"a": -b, "b": b} if b > 0 else {}, {"a": a, "b": b}, {"a": a, "b": a},
                       {"a": 1.0, "b": 1.0 + 2.0 ** -rng.randint(3, 22)}])


def random_normal(rng):
    return rng.choice([{}, {"std": 0.02}, {"mean": number(rng, -3, 3), "std": number(rng, 0, 2)},
                       {"mean": 5.0, "std": rng.choice([0, 0.0])}])


def random_trunc_normal(rng):
    mean, std = round(rng.uniform(-2, 2), 3), round(rng.uniform(0.2, 2), 3)
    low = rng.uniform(-3, 2)
    inside = {"mean": mean, "std": std, "a": mean + low * std, "b": mean + (low + rng.uniform(0.05, 4)) * std}
    return rng.choice([{}, {"mean": 0.0, "std": 0.02}, inside, inside, inside])


def random_kaiming(rng):
    nonlinearity = rng.choice(NONLINEARITIES)
    slope = {"a": rng.choice([0.2, math.sqrt(5), round(rng.uniform(-3, 3), 5)])} if nonlinearity == "leaky_relu" else {}
    return rng.choice([{}, slope, {"nonlinearity": nonlinearity, "mode": rng.choice(["fan_in", "fan_out"])} | slope])


def random_gain(rng, least=0):
    return rng.choice([{}, {"gain": 5.0 / 3}, {"gain": number(rng, least, 3)}])


def random_sparse(rng):
    sparsity = rng.choice([0.0, 0.1, 0.5, 0.9, 1.0, number(rng, 0, 1)])
    return rng.choice([{"sparsity": sparsity}, {"sparsity": sparsity, "std": number(rng, 0, 2)}])


# method: its random parameters, and the ranks that it accepts
METHODS = {
    "uniform_": (random_uniform, 0, 5), "normal_": (random_normal, 0, 5), "trunc_normal_": (random_trunc_normal, 0, 5),
    "xavier_uniform_": (random_gain, 2, 5), "xavier_normal_": (random_gain, 2, 5),
    "kaiming_uniform_": (random_kaiming, 2, 5), "kaiming_normal_": (random_kaiming, 2, 5),
    "orthogonal_": (lambda rng: random_gain(rng, least=-1), 2, 5),
    "sparse_": (random_sparse, 2, 2), "eye_": (lambda rng: {}, 2, 2),
    "dirac_": (lambda rng: {"groups": rng.choice([1, 1, 2, 3])}, 3, 5),
    "constant_": (lambda rng: {"val": rng.choice([0.3, -0.0, 65504.0, number(rng, -9, 9)])}, 0, 5),
    "ones_": (lambda rng: {}, 0, 5), "zeros_": (lambda rng: {}, 0, 5),
}


def random_step(rng, method):
    parameters, least, most = METHODS[method]
    dtypes = DTYPES[:2] if method == "orthogonal_" else DTYPES
    step = {"method": method, "shape": random_shape(rng, least, most), "dtype": rng.choice(dtypes),
            "params": parameters(rng)}
    if method == "dirac_":
        groups = step["params"]["groups"]
        step["shape"] = [groups * rng.randint(1, 4)] + [rng.randint(1, 6) for _ in step["shape"][1:]]
    if method.startswith("xavier") and 0 in step["shape"]:
        step["shape"][0] = 4    # one fan stays positive
        step["shape"][2:] = [3 for _ in step["shape"][2:]]
    return step


def random_init(rng, method):
    return {"kind": "init", "seed": random_seed(rng)} | random_step(rng, method)


def random_sequence(rng):
    methods = ["normal_"] * 4 + [method for method in METHODS if method != "orthogonal_"]
    steps = [random_step(rng, rng.choice(methods)) for _ in range(rng.randint(2, 6))]
    for step in steps:    # a small normal caches a sample for the next one
        if step["method"] == "normal_":
            step["shape"] = [rng.choice([rng.randint(1, 15), rng.randint(1, 15), rng.randint(16, 40)])]
    return {"kind": "sequence", "seed": random_seed(rng), "steps": steps}


ERRORS = [
    ("xavier_uniform_", {}, [3], DTYPES), ("xavier_normal_", {}, [], DTYPES), ("xavier_normal_", {}, [0, 0], DTYPES),
    ("kaiming_uniform_", {}, [5], DTYPES), ("kaiming_normal_", {"mode": "fan_sum"}, [3, 4], DTYPES),
    ("kaiming_normal_", {"nonlinearity": "gelu"}, [3, 4], DTYPES),
    ("kaiming_uniform_", {"nonlinearity": "ReLU"}, [3, 4], DTYPES), ("kaiming_uniform_", {"a": 1e200}, [3, 4], DTYPES),
    ("orthogonal_", {}, [3], DTYPES), ("orthogonal_", {}, [4, 4], ["float16", "bfloat16"]),
    ("sparse_", {"sparsity": 0.5}, [2, 3, 4], DTYPES), ("eye_", {}, [2, 3, 4], DTYPES),
    ("dirac_", {}, [3, 3], DTYPES), ("dirac_", {"groups": 4}, [6, 3, 3], DTYPES),
    ("dirac_", {"groups": 0}, [6, 3, 3], DTYPES), ("dirac_", {}, [2, 2, 0], DTYPES),
    ("uniform_", {"a": 1.0, "b": 0.5}, [4], DTYPES), ("uniform_", {"a": -70000.0, "b": 0.0}, [4], ["float16"]),
    ("uniform_", {"a": 0.0, "b": 1e39}, [4], ["float32", "bfloat16"]),
    ("uniform_", {"a": -60000.0, "b": 60000.0}, [4], ["float16"]),
    ("uniform_", {"a": -1e308, "b": 1e308}, [4], ["float64"]), ("uniform_", {"a": -3e38, "b": 3e38}, [4], ["float32"]),
    ("normal_", {"std": -1.0}, [4], DTYPES), ("normal_", {"mean": 1.0, "std": -0.25}, [0], DTYPES),
    ("trunc_normal_", {"std": 0.0}, [4], DTYPES), ("trunc_normal_", {"a": 2.0, "b": 1.0}, [4], DTYPES),
    ("constant_", {"val": 65520.0}, [2], ["float16"]), ("constant_", {"val": -1e39}, [2], ["float32", "bfloat16"]),
]


def random_error(rng):
    if rng.random() < 0.1:
        beyond = rng.randrange(99)
        return {"kind": "seed_error", "seed": rng.choice([2 ** 64 + beyond, -2 ** 63 - 1 - beyond])}
    method, params, shape, dtypes = rng.choice(ERRORS)
    return {"kind": "error", "seed": rng.randrange(2048), "method": method, "params": params, "shape": shape,
            "dtype": rng.choice(dtypes)}


def random_gain_case(rng):
    nonlinearity = rng.choice(NONLINEARITIES + ["leaky_relu"] * 6)
    slope = rng.choice([None, 0, 1, 0.2, round(rng.uniform(-3, 3), 5)]) if nonlinearity == "leaky_relu" else None
    return {"kind": "gain", "nonlinearity": nonlinearity, "param": slope}


def random_layer(rng):
    """Type and arguments of a small layer with parameters."""
    small, some = rng.randint(1, 6), rng.randint(1, 24)
    flag = lambda: rng.random() < 0.5
    kernel = lambda rank: rng.choice([rng.randint(1, 3), [rng.randint(1, 3) for _ in range(rank)]])
    rank, heads = rng.randint(1, 3), rng.randint(1, 3)
    width = heads * rng.randint(1, 6)
    groups = rng.randint(1, 3)
    transformer = {"d_model": width, "nhead": heads, "dim_feedforward": some, "bias": flag()}
    return rng.choice([
        lambda: ("Linear", {"in_features": some, "out_features": rng.randint(1, 20), "bias": flag()}),
        lambda: ("Bilinear", {"in1_features": small, "in2_features": some, "out_features": rng.randint(1, 6),
                              "bias": flag()}),
        lambda: (f"{rng.choice(['Conv', 'ConvTranspose'])}{rank}d",
                 {"in_channels": groups * rng.randint(1, 4), "out_channels": groups * rng.randint(1, 4),
                  "kernel_size": kernel(rank), "groups": groups, "bias": flag()}),
        lambda: (rng.choice(["RNN", "GRU"]), {"input_size": some, "hidden_size": small, "num_layers": rng.randint(1, 3),
                                              "bias": flag(), "bidirectional": flag()}),
        lambda: ("LSTM", {"input_size": small, "hidden_size": small + 2, "num_layers": rng.randint(1, 2),
                          "bias": flag(), "bidirectional": flag(),
                          "proj_size": rng.choice([0, 0, rng.randint(1, small + 1)])}),
        lambda: (rng.choice(["RNNCell", "LSTMCell", "GRUCell"]),
                 {"input_size": some, "hidden_size": small, "bias": flag()}),
        lambda: ("Embedding", {"num_embeddings": small + 1, "embedding_dim": rng.randint(1, 8),
                               "padding_idx": rng.choice([None, 0, -1, small])}),
        lambda: ("EmbeddingBag", {"num_embeddings": some, "embedding_dim": small, "mode": "sum"}),
        lambda: (f"BatchNorm{rank}d", {"num_features": some, "affine": flag(), "track_running_stats": flag()}),
        lambda: (f"InstanceNorm{rank}d", {"num_features": some, "affine": flag(), "track_running_stats": flag()}),
        lambda: ("LayerNorm", {"normalized_shape": rng.choice([some, [small, some]]),
                               "elementwise_affine": flag(), "bias": flag()}),
        lambda: ("RMSNorm", {"normalized_shape": [some]}),
        lambda: ("GroupNorm", {"num_groups": groups, "num_channels": groups * small, "affine": flag()}),
        lambda: ("PReLU", {"num_parameters": small, "init": rng.choice([0.25, 0.1])}),
        lambda: ("MultiheadAttention", {"embed_dim": width, "num_heads": heads, "bias": flag(), "add_bias_kv": flag(),
                                        "kdim": rng.choice([None, None, width, some]),
                                        "vdim": rng.choice([None, None, some])}),
        lambda: (rng.choice(["TransformerEncoderLayer", "TransformerDecoderLayer"]), transformer),
        lambda: ("Transformer", transformer | {"num_encoder_layers": rng.randint(1, 2),
                                               "num_decoder_layers": rng.randint(1, 2)}),
    ])()


def random_model(rng):
    layers = [random_layer(rng) for _ in range(rng.randint(1, 5))]
    return {"kind": "model", "seed": random_seed(rng), "dtype": rng.choice(["float32"] + DTYPES),
            "layers": [{"type": kind, "args": arguments} for kind, arguments in layers]}


def inputs(count, seed):
    """`count` cases of every kind in turn, and a tenth as many models."""
    rng = random.Random(seed)
    turns = [lambda method=method: random_init(rng, method) for method in METHODS]
    turns += [lambda: random_init(rng, rng.choice(["normal_", "uniform_", "trunc_normal_"]))] * 4
    turns += [lambda: random_sequence(rng)] * 2 + [lambda: random_error(rng)] * 2 + [lambda: random_gain_case(rng)]
    turns += [lambda: {"kind": "randperm", "seed": random_seed(rng), "n": rng.choice([0, 1, rng.randint(2, 2000)])},
              lambda: {"kind": "raw", "seed": random_seed(rng), "n_words": 2 * rng.randint(1, 1500)}]
    cases = [turns[index % len(turns)]() for index in range(count)]
    return cases + [random_model(rng) for _ in range((count + 9) // 10)]


# Writing and checking

LEADING = ["id", "kind", "torch_version", "seed", "seed_u64", "method", "params", "shape", "dtype"]
INPUTS = {"id", "kind", "torch_version", "seed", "method", "params", "shape", "dtype",
          "steps", "nonlinearity", "param", "n", "n_words", "layers"}
STEP_INPUTS = ["method", "shape", "dtype", "params"]


def complete(case, arrays):
    """The whole record for the inputs of a case, with members in the order of the committed files."""
    case = {"torch_version": torch.__version__} | case
    if "seed" in case and case["kind"] != "seed_error":
        case["seed_u64"] = f"0x{case['seed'] % 2 ** 64:016x}"
    case = {name: case[name] for name in LEADING if name in case} | case
    COMPLETE[case["kind"]](case, arrays)
    return case


def write(output, count, seed):
    if output.exists() and any(output.iterdir()):
        sys.exit(f"{output} is not empty.")
    output.mkdir(parents=True, exist_ok=True)
    counts, elements, arrays = collections.Counter(), 0, {}
    lines = {"cases.jsonl": [], "models.jsonl": []}
    for case in inputs(count, seed):
        label = case["kind"].removeprefix("seed_") if case["kind"] != "init" else case["method"]
        counts[label] += 1
        case["id"] = f"s{seed}-{label.rstrip('_')}-{counts[label]:03d}"
        case = complete(case, arrays)
        elements += case.get("numel", 0)
        lines["models.jsonl" if case["kind"] == "model" else "cases.jsonl"].append(case)
    for name, cases in lines.items():
        (output / name).write_text("".join(json.dumps(case, allow_nan=False) + "\n" for case in cases))
    for name, array in arrays.items():
        (output / name).parent.mkdir(exist_ok=True)
        numpy.save(output / name, array)
    shutil.copy(pathlib.Path(__file__).parent / "visible/README.txt", output)
    files = {name: (output / name).read_bytes() for name in sorted([*lines, *arrays, "README.txt"])}
    manifest = {
        "cases": output.name, "torch_version": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads(),
        "counts": counts, "n_cases": len(lines["cases.jsonl"]), "n_models": len(lines["models.jsonl"]),
        "n_elements": elements,
        "files": {name: {"bytes": len(data), "sha256": digest(data)} for name, data in files.items()}}
    (output / "MANIFEST.json").write_text(json.dumps(manifest, indent=1) + "\n")
    print(f"{manifest['n_cases']} cases and {manifest['n_models']} models in {output}")


def differences(given, file):
    """The members of a line that differ from PyTorch's new results."""
    arrays = {}
    case = {name: given[name] for name in given if name in INPUTS}
    if "steps" in case:
        case["steps"] = [{name: step[name] for name in STEP_INPUTS} for step in case["steps"]]
    if case["kind"] == "randperm":
        del case["dtype"]
    made = complete(case, arrays)
    names = made.keys() | given.keys()
    if given.get("compare") == "tolerance":    # only these are the same on every processor
        names = {"compare", "npy", "numel", "next_random31", "seed_u64"} | INPUTS
        values = numpy.load(file.parent / given["npy"])
        if values.shape != arrays[made["npy"]].shape or abs(values - arrays[made["npy"]]).max() > given["abs_tol"]:
            yield "npy"
        if not math.isclose(given["abs_tol"], made["abs_tol"], rel_tol=1e-6):
            yield "abs_tol"
    yield from sorted(name for name in names if made.get(name) != given.get(name))


def check(file):
    """Prints the differences; true if there are none."""
    cases = [json.loads(line) for line in file.read_text().splitlines()]
    bad = [(case["id"], found) for case in cases if (found := list(differences(case, file)))]
    for identifier, found in bad:
        print(f"{identifier}: {', '.join(found)}")
    print(f"{file}: {len(cases) - len(bad)} of {len(cases)} lines agree")
    return not bad


def require_profile():
    """Ends the program if this PyTorch would give other bits."""
    if torch.__version__.split("+")[0] != VERSION:
        sys.exit(f"The vectors are PyTorch {VERSION}'s; this is PyTorch {torch.__version__}, which may give other bits.")
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        sys.exit("The vectors are those of an x86-64 processor with AVX2; without it PyTorch gives other bits.")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")


def main():
    parser = argparse.ArgumentParser(description="Make golden vectors with PyTorch, or check the ones that are there.")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of cases (default 0)")
    parser.add_argument("--count", type=int, default=240,
                        help="of cases, to which a tenth as many models come (default 240)")
    parser.add_argument("--output", type=pathlib.Path, metavar="DIR", help="where to write them")
    parser.add_argument("--check", type=pathlib.Path, metavar="FILE", action="append", default=[],
                        help="recompute a cases.jsonl or models.jsonl and report what differs")
    options = parser.parse_args()
    if not options.output and not options.check:
        parser.error("one of --output and --check is needed")
    require_profile()
    if options.output:
        write(options.output, options.count, options.seed)
    if not all([check(file) for file in options.check]):
        sys.exit(1)


if __name__ == "__main__":
    main()
