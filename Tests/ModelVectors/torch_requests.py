"""Makes the tensors of a POST /init in PyTorch: layers are modules, and rules are a loop over them.

The programs beside this file use it to make the vectors of whole models.
"""
import contextlib
import fnmatch
import hashlib
import pathlib
import sys
import typing

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "GoldenVectors"))
from make_vectors import (DTYPES, digest, little_endian, make_layer, next_random31, random_layer,  # noqa: E402, F401
                          random_seed, require_profile)

REQUEST_MEMBERS = {"seed", "dtype", "format", "defaults", "seeding", "layers", "layer", "tensors", "rules", "tie"}
ENTRY_MEMBERS = {"name", "type", "dtype", "repeat", "rules", "layers"}


class Options(typing.NamedTuple):
    """Settings that an entry inherits from the entry around it."""
    dtype: torch.dtype
    defaults: bool

    def of(self, entry):
        return self._replace(dtype=getattr(torch, entry["dtype"])) if "dtype" in entry else self


def initialise(tensor, method, **parameters):
    """Calls a method by the service's name: `constant` takes `value`, and a gain may name a nonlinearity."""
    if "value" in parameters:
        parameters["val"] = parameters.pop("value")
    if isinstance(parameters.get("gain"), dict):
        parameters["gain"] = torch.nn.init.calculate_gain(**parameters["gain"])
    return getattr(torch.nn.init, method + "_")(tensor, **parameters)


def arguments(entry):
    return {name: value for name, value in entry.items() if name not in ENTRY_MEMBERS}


def make_parameter(entry, options):
    """A bare parameter: zeros, or initialised by its method when it is built."""
    call = arguments(entry)
    tensor = torch.zeros(call.pop("shape"), dtype=options.of(entry).dtype)
    return torch.nn.Parameter(initialise(tensor, **call) if call else tensor)


def make_torch_layer(entry, options):
    call = arguments(entry)
    for name in ("encoder_layer", "decoder_layer", "norm"):    # built before the layer that copies them
        if name in call:
            call[name] = build(call[name], options)
    return make_layer(entry["type"], call, options.dtype)


def without_draws(make):
    """The result of `make`, with NaN in the tensors that are not constants."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        made = make()
        torch.manual_seed(2)
        other = make()
    for tensor, again in zip(values(made), values(other)):
        if not torch.equal(tensor, again):
            tensor.data.fill_(float("nan"))
    return made


def values(made):
    return made.state_dict().values() if isinstance(made, torch.nn.Module) else [made]


def build(entry, options):
    """An entry's module or parameter; the entry's own rules are applied to the module at once."""
    options = options.of(entry)
    if "layers" in entry:
        module = add(torch.nn.Module(), entry["layers"], options)
    else:
        make = make_parameter if entry["type"] == "Parameter" else make_torch_layer
        module = make(entry, options) if options.defaults else without_draws(lambda: make(entry, options))
    return apply_rules(module, entry["rules"]) if "rules" in entry else module


def add(block, entries, options):
    """Builds the entries in order and registers them in `block`."""
    for index, entry in enumerate(entries):
        name = entry.get("name", str(index))
        if "repeat" not in entry:
            setattr(block, name, build(entry, options))
            continue
        if "{}" in name:
            holder = block
        else:    # copies h.0, h.1, … of h are the children 0, 1, … of a block h
            holder, name = torch.nn.Module(), "{}"
            block.add_module(entry.get("name", str(index)), holder)
        for copy in range(entry["repeat"]):
            setattr(holder, name.replace("{}", str(copy)), build(entry, options))
    return block


def matches(rule, module, parameter, name):
    return (isinstance(module, getattr(torch.nn, rule.get("type", "Module")))
            and fnmatch.fnmatchcase(parameter, rule.get("parameter", "*"))
            and fnmatch.fnmatchcase(name, rule.get("name", "*")))


def apply_rules(model, rules):
    """Applies one or several passes: the first matching rule to each module's own parameters, in order."""
    for rules in rules if rules and isinstance(rules[0], list) else [rules]:
        used = set()
        for prefix, module in model.named_modules():
            for parameter, tensor in module.named_parameters(recurse=False):
                name = f"{prefix}.{parameter}" if prefix else parameter
                found = [index for index, rule in enumerate(rules) if matches(rule, module, parameter, name)]
                if found:
                    used.add(found[0])
                    call = {key: value for key, value in rules[found[0]].items()
                            if key not in ("type", "parameter", "name")}
                    if call["method"] != "skip":
                        initialise(tensor, **call)
        assert len(used) == len(rules), f"a rule does nothing in {rules}"
    return model


def tie(model, names):
    for name, source in names.items():
        path, _, parameter = name.rpartition(".")
        setattr(model.get_submodule(path), parameter, model.get_parameter(source))


@contextlib.contextmanager
def recorded_calls():
    """Records {address of a tensor: (the tensor, the call that initialised it last)} within the `with` block."""
    calls, patched = {}, []

    def recording(function):
        def call(tensor, *arguments, **named):
            function(tensor, *arguments, **named)
            calls[tensor.data_ptr()] = (tensor, [lambda tensor: function(tensor, *arguments, **named)])
            return tensor
        return call

    def fill_padding(embedding, function=torch.nn.Embedding._fill_padding_idx_with_zero):
        if embedding.padding_idx is not None:
            function(embedding)
            row = embedding.padding_idx
            calls[embedding.weight.data_ptr()][1].append(lambda tensor: tensor.data[row].zero_())

    def patch(holder, name, function):
        patched.append((holder, name, getattr(holder, name)))
        setattr(holder, name, function)

    for name, function in list(vars(torch.nn.init).items()):
        if name.endswith("_") and not name.startswith("_"):
            replacement = recording(function)
            for module in (torch.nn.init, torch.nn.modules.activation, torch.nn.modules.transformer):
                if getattr(module, name, None) is function:
                    patch(module, name, replacement)
    patch(torch.nn.Embedding, "_fill_padding_idx_with_zero", fill_padding)
    try:
        yield calls
    finally:
        for holder, name, function in patched:
            setattr(holder, name, function)


def derived_seed(seed, name):
    """The seed of a tensor's own generator, with per_tensor seeding."""
    digest = hashlib.sha256(f"{seed & 0xffffffff}:{name}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def initialise_apart(request):
    """Makes each tensor by its last initialisation, on its own generator; a request must have no copies of layers."""
    with recorded_calls() as calls:
        made = made_on_one_generator(request)
    for name, tensor in made.items():
        if name not in request.get("tie", {}) and tensor.data_ptr() in calls:
            torch.manual_seed(derived_seed(int(request.get("seed", 0)), name))
            for call in calls[tensor.data_ptr()][1]:
                call(tensor)
    return made


def made_on_one_generator(request):
    torch.manual_seed(int(request.get("seed", 0)))
    options = Options(getattr(torch, request.get("dtype", "float32")), request.get("defaults", True))
    if "tensors" in request:
        return {entry.get("name", str(index)): make_parameter(entry, options)
                for index, entry in enumerate(request["tensors"])}
    model = build(request["layer"] if "layer" in request else {"layers": request["layers"]}, options)
    tie(model, request.get("tie", {}))
    return apply_rules(model, request.get("rules", [])).state_dict(keep_vars=True)


def tensors(request):
    """The request's tensors by name, in order."""
    assert request.keys() <= REQUEST_MEMBERS, request.keys() - REQUEST_MEMBERS
    make = initialise_apart if request.get("seeding") == "per_tensor" else made_on_one_generator
    return {name: tensor.detach() for name, tensor in make(request).items()}


def described(tensors):
    """Name, shape, dtype and digest of every tensor, and the generator's next word."""
    for name, tensor in tensors.items():
        assert not tensor.isnan().any(), f"{name} is not initialised"
    return {"tensors": [{"name": name, "shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch."),
                         "sha256": digest(little_endian(tensor))} for name, tensor in tensors.items()],
            "next_random31": next_random31()}
