"""What a body of POST /init means, said in PyTorch: the layers as modules, the rules as a loop over them.

The programs beside it make the vectors of whole models with it.
"""
import copy
import fnmatch
import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "GoldenVectors"))
from make_vectors import digest, little_endian, make_layer, next_random31, require_profile  # noqa: E402

REQUEST_MEMBERS = {"seed", "dtype", "format", "defaults", "layers", "layer", "tensors", "rules", "tie"}
ENTRY_MEMBERS = {"name", "type", "dtype", "repeat", "rules", "layers"}


def initialise(tensor, method, **parameters):
    """A method by the service's name: `constant` takes `value`, a gain may be a nonlinearity's."""
    if "value" in parameters:
        parameters["val"] = parameters.pop("value")
    if isinstance(parameters.get("gain"), dict):
        parameters["gain"] = torch.nn.init.calculate_gain(**parameters["gain"])
    return getattr(torch.nn.init, method + "_")(tensor, **parameters)


def make_module(entry, dtype):
    """The module of an entry, without its rules: a block if it holds layers, else a layer of torch.nn."""
    if "layers" in entry:
        return add(torch.nn.Module(), entry["layers"], dtype)
    arguments = {name: value for name, value in entry.items() if name not in ENTRY_MEMBERS}
    for name in ("encoder_layer", "decoder_layer", "norm"):    # in the order in which they draw
        if name in arguments:
            arguments[name] = build(arguments[name], dtype)
    return make_layer(entry["type"], arguments, dtype)


def build(entry, dtype):
    """An entry's module with its own rules applied: they see its names without the entry's."""
    module = make_module(entry, getattr(torch, entry["dtype"]) if "dtype" in entry else dtype)
    return apply_rules(module, entry.get("rules", []))


def make_parameter(entry, dtype):
    """A bare parameter: zeros, or drawn when its turn comes."""
    dtype = getattr(torch, entry["dtype"]) if "dtype" in entry else dtype
    members = {name: value for name, value in entry.items() if name not in ENTRY_MEMBERS}
    tensor = torch.zeros(members.pop("shape"), dtype=dtype)
    return torch.nn.Parameter(initialise(tensor, **members) if members else tensor)


def add(parent, entries, dtype):
    """Builds the entries in order as children of `parent`."""
    for index, entry in enumerate(entries):
        name = entry.get("name", str(index))
        if "repeat" in entry:
            pattern = name if "{}" in name else name + ".{}"
            names = [pattern.replace("{}", str(copy)) for copy in range(entry["repeat"])]
        else:
            names = [name]
        for name in names:
            *path, last = name.split(".")
            holder = parent
            for step in path:    # h.0 is the child 0 of a block h
                if not hasattr(holder, step):
                    holder.add_module(step, torch.nn.Module())
                holder = getattr(holder, step)
            if entry.get("type") == "Parameter":
                holder.register_parameter(last, make_parameter(entry, dtype))
            else:
                holder.add_module(last, build(entry, dtype))
    return parent


def matches(rule, module, parameter, name):
    return (isinstance(module, getattr(torch.nn, rule["type"])) if "type" in rule else True) \
        and fnmatch.fnmatchcase(parameter, rule.get("parameter", "*")) and fnmatch.fnmatchcase(name, rule.get("name", "*"))


def apply_rules(model, rules):
    """One pass or several: for every module's own parameters in order, the first rule that matches."""
    for rules in rules if rules and isinstance(rules[0], list) else [rules]:
        used = set()
        for prefix, module in model.named_modules():
            for parameter, tensor in module.named_parameters(recurse=False):
                name = f"{prefix}.{parameter}" if prefix else parameter
                for index, rule in enumerate(rules):
                    if matches(rule, module, parameter, name):
                        used.add(index)
                        call = {key: value for key, value in rule.items() if key not in ("type", "parameter", "name")}
                        if not call.pop("skip", False):
                            initialise(tensor, **call)
                        break
        assert len(used) == len(rules), f"rules that match nothing: {[rules[i] for i in range(len(rules)) if i not in used]}"
    return model


def tie(model, names):
    for name, source in names.items():
        path, _, parameter = name.rpartition(".")
        setattr(model.get_submodule(path), parameter, model.get_parameter(source))


def without_defaults(request):
    """The model with nothing drawn: constants as they are, NaN where PyTorch would draw and a rule has to."""
    undrawn = copy.deepcopy(request) | {"rules": [], "tie": {}, "defaults": True}
    with torch.random.fork_rng():
        first, second = (evaluate_model(undrawn | {"seed": seed}) for seed in (1, 2))
    for tensor, other in zip(first.state_dict().values(), second.state_dict().values()):
        if not torch.equal(tensor, other):
            tensor.fill_(float("nan"))
    return first


def evaluate_model(request):
    torch.manual_seed(request.get("seed", 0))
    dtype = getattr(torch, request.get("dtype", "float32"))
    if not request.get("defaults", True):
        model = without_defaults(request)
    elif "layer" in request:
        model = build(request["layer"], dtype)
    else:
        model = add(torch.nn.Module(), request["layers"], dtype)
    tie(model, request.get("tie", {}))
    return apply_rules(model, request.get("rules", []))


def evaluate_tensors(request):
    torch.manual_seed(request.get("seed", 0))
    dtype = getattr(torch, request.get("dtype", "float32"))
    return {entry.get("name", str(index)): make_parameter(entry, dtype)
            for index, entry in enumerate(request["tensors"])}


def described(tensors):
    """Name, shape, dtype and digest of every tensor, and where the generator has come to."""
    for name, tensor in tensors.items():
        assert not tensor.isnan().any(), f"{name} is not initialised"
    return {"tensors": [{"name": name, "shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch."),
                         "sha256": digest(little_endian(tensor))} for name, tensor in tensors.items()],
            "next_random31": next_random31()}


def evaluate(request):
    assert request.keys() <= REQUEST_MEMBERS, request.keys() - REQUEST_MEMBERS
    return described(evaluate_tensors(request) if "tensors" in request else evaluate_model(request).state_dict())
