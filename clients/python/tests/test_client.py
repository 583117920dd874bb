"""The client with a stand-in for the service: its requests, and what it does with replies and faults."""

from __future__ import annotations

import copy
import os
import pickle
import select
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ranks
import torch
from stand_in import StandIn
from torch import nn

import weight_init
from weight_init import Client, LossyDtypeError, ModuleMismatchError, loading_modules
from weight_init.cli import main
from weight_init.tracing import named_state


class Net(nn.Module):
    def __init__(self, device: str | None = None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8, device=device)
        self.body = nn.Sequential(nn.Linear(8, 8, device=device), nn.BatchNorm1d(8, device=device))
        self.head = nn.Linear(8, 11, bias=False, device=device)
        self.head.weight = self.embedding.weight
        self.register_buffer("scale", torch.arange(3.0, device=device), persistent=False)


@pytest.fixture(scope="module")
def request_of_net() -> dict[str, Any]:
    return weight_init.trace(Net)


@pytest.fixture()
def client(service: StandIn) -> Client:
    return Client(service.url, retries=3, timeout=60)


def expected(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return dict(named_state(Net()))


def equal(module: nn.Module, seed: int) -> bool:
    return all(torch.equal(tensor, expected(seed)[name]) for name, tensor in named_state(module))


def test_a_tensor_is_a_numpy_array(client: Client) -> None:
    array = client.tensor("kaiming_uniform", [4, 3], seed=7, a=5**0.5)
    torch.manual_seed(7)
    assert np.array_equal(array, nn.init.kaiming_uniform_(torch.empty(4, 3), a=5**0.5).numpy())
    half = client.tensor("normal", [2], dtype="bfloat16")
    assert half.dtype == np.uint16 and half.shape == (2,)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_a_tensor_is_a_torch_tensor_of_its_dtype(client: Client, dtype: str) -> None:
    tensor = client.tensor("normal", [5, 7], seed=7, dtype=dtype, library="torch")
    torch.manual_seed(7)
    assert torch.equal(tensor, torch.empty(5, 7, dtype=getattr(torch, dtype)).normal_())
    assert client.tensor("ones", [], library="torch").shape == ()


@pytest.mark.parametrize("dtype", [torch.float16, np.float16, np.dtype("float16")], ids=repr)
def test_a_dtype_is_a_name_or_a_dtype_of_torch_or_numpy(client: Client, dtype: Any) -> None:
    assert client.tensor("ones", [2], dtype=dtype).dtype == np.float16
    assert client.tensor("ones", [2], cast=dtype).dtype == np.float16
    entry = {"name": "a", "shape": [2], "method": "ones"}
    in_all_places = {"cast": dtype, "dtype": dtype, "tensors": [entry, {**entry, "name": "b", "dtype": dtype, "cast": dtype}]}
    assert {array.dtype for array in client.arrays(in_all_places, 1).values()} == {np.dtype(np.float16)}
    in_words = {"cast": "float16", "dtype": "float16", "tensors": [entry, {**entry, "name": "b", "dtype": "float16", "cast": "float16"}]}
    assert weight_init.dumps(in_all_places) == weight_init.dumps(in_words)
    assert {tensor.dtype for tensor in weight_init.interpret(in_all_places).values()} == {torch.float16}
    discards = {"tensors": [entry], "steps": [{"method": "normal", "shape": [3], "dtype": dtype}]}
    assert weight_init.interpret(discards)["a"].tolist() == client.arrays(discards, 0)["a"].tolist()


def test_numbers_may_be_numpys(client: Client) -> None:
    assert client.tensor("constant", [np.int64(2)], seed=np.int64(3), value=np.float32(0.5)).tolist() == [0.5, 0.5]  # type: ignore[arg-type, list-item]
    with pytest.raises(TypeError, match=r"a request cannot hold \{1\}, of type set"):
        client.tensor("constant", [1], value={1})


@pytest.mark.parametrize("size", [5, np.int64(5)], ids=repr)
def test_an_int_is_the_shape_of_a_one_dimensional_tensor(client: Client, size: int) -> None:
    assert client.tensor("normal", size).tolist() == client.tensor("normal", [5]).tolist()
    assert client.tensor("ones", size, library="torch").shape == (5,)


def test_a_shape_of_another_type_is_named(client: Client) -> None:
    with pytest.raises(TypeError, match="^shape is 2.5; it can be an int or a sequence of ints$"):
        client.tensor("ones", 2.5)  # type: ignore[call-overload]


@pytest.mark.parametrize("member", ["name", "persistent"])
def test_a_member_of_requests_for_several_tensors_is_no_argument(client: Client, member: str) -> None:
    with pytest.raises(weight_init.WeightInitError, match=f"^{member} is not an argument of tensor"):
        client.tensor("ones", [1], **{member: "a"})


def test_there_are_two_libraries(client: Client) -> None:
    with pytest.raises(ValueError, match="'jax'; it can be 'numpy' or 'torch'"):
        client.tensor("ones", [1], library="jax")  # type: ignore[call-overload]


_DTYPES = ["int8", "uint8", "bool", "int64", "int32", "int16", "float32", "float64", "float16", "bfloat16"]


@pytest.mark.parametrize(
    ("errors", "message"),
    [
        ([{"pointer": "/tensors/0/method", "detail": 'unknown method "norml"; did you mean normal?', "allowed": ["normal", "uniform"]}],
         'method: unknown method "norml"; did you mean normal? Allowed: normal, uniform'),
        ([{"pointer": "/tensors/0/dtype", "detail": 'unknown value "fp8"', "allowed": _DTYPES}],
         'dtype: unknown value "fp8"; allowed: int8, uint8, bool, int64, int32, int16, float32, float64 and 2 more'),
        ([{"pointer": "/tensors/0/shape", "detail": "dimension -4 is negative"}, {"pointer": "/seed", "detail": "must be an integer"}],
         "shape: dimension -4 is negative; seed: must be an integer"),
        ([{"pointer": "/tensors/0", "detail": "is too large"}], "is too large"),
        ([{"pointer": "/tensors/0/sdt", "detail": 'unknown member "sdt"; did you mean std?', "allowed": ["std", "name", "shape", "persistent"]}],
         'sdt: unknown member "sdt"; did you mean std? Allowed: std, shape'),
    ],
)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_an_error_of_a_tensor_names_the_argument(
    service: StandIn, client: Client, errors: list[dict[str, Any]], message: str, library: Any
) -> None:
    service.errors = [errors]
    with pytest.raises(weight_init.ServiceError) as raised:
        client.tensor("norml", [2], library=library)
    assert (str(raised.value), raised.value.detail) == (f"HTTP 400: {message}", message)


def test_an_error_of_a_request_names_the_place_and_the_allowed_values(service: StandIn, client: Client) -> None:
    service.errors = [[{"pointer": "/tensors/0/dtype", "detail": 'unknown value "fp8"', "allowed": _DTYPES[-2:]}]]
    with pytest.raises(weight_init.ServiceError, match='^HTTP 400: /tensors/0/dtype: unknown value "fp8"; allowed: float16, bfloat16$'):
        client.arrays({"tensors": [{"name": "a", "shape": [2], "method": "normal", "dtype": "fp8"}]}, 1)


@pytest.mark.parametrize(
    ("gain", "sent"),
    [
        (2, 2), ("inf", "inf"), ("relu", {"nonlinearity": "relu"}),
        ("leaky_relu:0.2", {"nonlinearity": "leaky_relu", "param": 0.2}),
        ("leaky_relu:x", {"nonlinearity": "leaky_relu", "param": "x"}),
        ({"nonlinearity": "leaky_relu", "param": 0.2}, {"nonlinearity": "leaky_relu", "param": 0.2}),
    ],
    ids=str,
)
def test_a_gain_may_be_an_activation(service: StandIn, client: Client, gain: Any, sent: Any) -> None:
    service.errors = [[{"pointer": "/tensors/0/gain", "detail": "seen"}]]
    with pytest.raises(weight_init.ServiceError, match="^HTTP 400: gain: seen$"):
        client.tensor("xavier_uniform_", (2, 3), gain=gain)
    assert service.requests[0]["tensors"][0]["gain"] == sent


def test_modules_are_filled_in_place(client: Client, request_of_net: dict[str, Any]) -> None:
    module = Net()
    weight = module.head.weight
    assert client.load_(module, request_of_net, seed=42) is module
    assert module.head.weight is weight
    assert equal(module, 42)


@pytest.mark.usefixtures("small_parts")
def test_modules_of_the_meta_device_get_memory_and_keep_their_ties(client: Client, request_of_net: dict[str, Any]) -> None:
    module = Net(device="meta")
    module.body[0].weight.requires_grad_(False)
    client.load_(module, request_of_net, seed=3, connections=2)
    assert equal(module, 3)
    assert module.head.weight is module.embedding.weight
    assert not module.body[0].weight.requires_grad and module.body[0].bias.requires_grad


def test_bytes_arrive_where_they_stay(client: Client, request_of_net: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[tuple[torch.dtype, torch.dtype]] = []
    copy = loading_modules._copy
    monkeypatch.setattr(loading_modules, "_copy", lambda source, target: (copies.append((source.dtype, target.dtype)), copy(source, target)))
    assert equal(client.load_(Net(device="meta"), request_of_net, seed=1), 1) and copies == []
    client.load_(Net().double(), request_of_net, seed=1)
    # Seven tensors and a buffer outside the state dict; integers stay.
    assert copies == [(torch.float32, torch.float64)] * 8


@pytest.fixture()
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the client use several connections for a small module."""
    monkeypatch.setattr(loading_modules, "_SMALLEST_PART", 1)


def test_a_small_module_is_one_request(service: StandIn, client: Client, request_of_net: dict[str, Any]) -> None:
    client.load_(Net(), request_of_net, seed=1, connections=4)
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("mebibytes", "groups"),
    [
        ([("a", 64), ("b", 64), ("c", 64), ("d", 64)], ["a", "bc", "d"]),
        ([("a", 1), ("b", 1), ("c", 1)], ["abc"]),
        ([("a", 40), ("b", 1), ("c", 41)], ["ab", "c"]),
        ([("a", 500), ("b", 1), ("c", 1)], ["a", "bc"]),
        ([("a", 1), ("a", 1), ("b", 1)], ["a", "ab"]),
        ([], []),
    ],
)
def test_connections_share_the_bytes(mebibytes: list[tuple[str, int]], groups: list[str]) -> None:
    jobs = [loading_modules._Job(name, None, size << 20, []) for name, size in mebibytes]
    assert ["".join(job.name for job in group) for group in loading_modules._groups(jobs, 3)] == groups


class Wide(nn.Module):
    """A module that is mostly one tensor with two names."""

    def __init__(self, device: str | None = None, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4, device=device, dtype=dtype)
        self.embedding = nn.Embedding(50, 4, device=device, dtype=dtype)
        self.head = nn.Linear(4, 50, bias=False, device=device, dtype=dtype)
        self.head.weight = self.embedding.weight


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_connections_divide_a_large_tensor_by_rows(service: StandIn, client: Client, dtype: torch.dtype) -> None:
    request = weight_init.trace(Wide)
    module = Wide(dtype=dtype)
    # Not tied in this module: the second tensor gets a copy.
    module.head.weight = nn.Parameter(torch.zeros(50, 4, dtype=dtype))
    service.breaks = [0, 330]
    client.load_(module, request, seed=8, connections=4, cast=True)
    torch.manual_seed(8)
    weight = Wide().embedding.weight.to(dtype)
    assert torch.equal(module.embedding.weight, weight) and torch.equal(module.head.weight, weight)
    first = {asked["slices"]["embedding.weight"] for asked in service.requests if "slices" in asked}
    assert {"0:12", "12:25", "25:37", "37:50"} <= first


@pytest.mark.usefixtures("small_parts")
def test_a_tensor_whose_digest_is_wanted_is_not_divided(service: StandIn, client: Client) -> None:
    request = weight_init.trace(Wide)
    digests = client.digests(request, 8)
    client.load_(Wide(), request, seed=8, connections=4, digests=digests)
    assert not any("slices" in asked for asked in service.requests)
    with pytest.raises(weight_init.DigestError, match="embedding.weight"):
        client.load_(Wide(), request, seed=9, connections=4, digests={"embedding.weight": digests["embedding.weight"]})


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("connections", [1, 2, 3, 16])
def test_each_tensor_is_fetched_once(
    service: StandIn, client: Client, request_of_net: dict[str, Any], connections: int
) -> None:
    seen: list[tuple[int, int]] = []
    client.load_(Net(), request_of_net, seed=1, connections=connections, progress=lambda *at: seen.append(at))
    fetched = [(name, asked.get("slices", {}).get(name, "")) for asked in service.requests for name in asked["include"]]
    assert sorted(fetched) == sorted(set(fetched))
    assert connections > 3 or not any("slices" in asked for asked in service.requests)
    assert min(connections, 2) <= len(service.requests) <= 2 * connections
    assert seen[-1][0] == seen[-1][1] and [at for at, _ in seen] == sorted(at for at, _ in seen)


def test_a_state_dict_fetches_what_is_read(service: StandIn, client: Client, request_of_net: dict[str, Any]) -> None:
    state = client.state_dict(request_of_net, 5)
    assert set(state) == set(Net().state_dict()) and service.requests == []
    assert torch.equal(state["head.weight"], expected(5)["head.weight"])
    assert state["embedding.weight"] is state["head.weight"]
    assert [request.get("include") for request in service.requests] == [["embedding.weight"]]
    Net().load_state_dict(dict(state))


def test_a_state_dict_says_what_it_is(service: StandIn, client: Client, request_of_net: dict[str, Any]) -> None:
    service.models["acme/net"] = request_of_net
    state = client.state_dict("acme/net", 5)
    assert repr(state) == "<state dict of acme/net, seed 5: 9 tensors, 0 fetched; dict(state) fetches all>"
    state["head.weight"]  # tied
    assert "9 tensors, 2 fetched" in repr(state)
    described = {"description": "net\n" + "word " * 50, "tensors": [{"name": "a", "shape": [1], "method": "ones"}]}
    assert repr(client.state_dict(described, 1)).startswith("<state dict of net word word")
    assert len(repr(client.state_dict(described, 1))) < 140
    assert "of a request, seed 1" in repr(client.state_dict({"tensors": described["tensors"]}, 1))


def test_a_state_dict_is_saved_as_a_dict(client: Client, request_of_net: dict[str, Any], tmp_path: Path) -> None:
    state = client.state_dict(request_of_net, 5)
    for attempt in (lambda: torch.save(state, tmp_path / "state.pt"), lambda: pickle.dumps(state), lambda: copy.deepcopy(state)):
        with pytest.raises(TypeError, match=r"use dict\(state\)"):
            attempt()
    torch.save(dict(state), tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt")
    assert saved.keys() == state.keys() and all(torch.equal(saved[name], state[name]) for name in saved)


def test_a_tensor_that_broke_off_is_fetched_again_when_it_is_read(service: StandIn) -> None:
    request = {"tensors": [{"name": "rows", "shape": [64], "method": "normal"}]}
    state = Client(service.url, retries=0).state_dict(request, 5)
    service.breaks = [280]
    with pytest.raises(weight_init.UnreachableError):
        state["rows"]
    again = state["rows"]
    torch.manual_seed(5)
    assert torch.equal(again, torch.empty(64).normal_())


@pytest.mark.usefixtures("small_parts")
def test_one_failure_ends_the_other_connections(
    service: StandIn, client: Client, request_of_net: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client.tensor("ones", [1])
    service.refuses = {"body.0.weight": 413}
    gate = service.gate = threading.Event()
    for_one_call = client._for_one_call

    # The other connections wait until the refusal has ended the call.
    def opening_the_gate() -> tuple[Client, threading.Event]:
        twin, stop = for_one_call()
        threading.Thread(target=lambda: (stop.wait(60), gate.set()), daemon=True).start()
        return twin, stop

    monkeypatch.setattr(client, "_for_one_call", opening_the_gate)
    seen: list[int] = []
    with pytest.raises(weight_init.TooLargeError):
        client.load_(Net(), request_of_net, seed=1, connections=4, progress=lambda at, _: seen.append(at))
    assert gate.is_set() and seen == []


@pytest.mark.parametrize("after", [0, 4, 100, 900, 1300, 1400])
def test_a_broken_reply_is_resumed(
    service: StandIn, client: Client, request_of_net: dict[str, Any], after: int
) -> None:
    module = Net()
    service.breaks = [after, after]
    seen: list[int] = []
    client.load_(module, request_of_net, seed=9, connections=1, progress=lambda at, total: seen.append(at - total))
    assert equal(module, 9) and seen[-1] == 0
    first, last = service.requests[0], service.requests[-1]
    assert set(last["include"]) <= set(first["include"])
    assert (len(last["include"]) < len(first["include"])) == (after >= 900)


def test_the_rows_of_a_tensor_that_arrived_are_not_fetched_again(service: StandIn, client: Client) -> None:
    request = {"tensors": [{"name": "rows", "shape": [50, 4], "method": "normal"}], "slices": {"rows": "10:40,1:4"}}
    whole = client.arrays(request, 4)["rows"]
    length = service.sent
    header = length - whole.nbytes
    # The reply breaks within row 13 of the block, then within row 5 of the rest, then at once.
    service.breaks = [header + 13 * 12 + 5, header + 5 * 12 + 2, 0]
    service.requests.clear()
    assert np.array_equal(client.arrays(request, 4)["rows"], whole)
    assert [r["slices"]["rows"] for r in service.requests] == ["10:40,1:4", "23:40,1:4", "28:40,1:4", "28:40,1:4"]


def test_attempts_count_from_the_last_byte_that_arrived(service: StandIn) -> None:
    request = {"tensors": [{"name": "rows", "shape": [64], "method": "normal"}]}
    client = Client(service.url, retries=1)
    client.arrays(request, 1)
    header = service.sent - 256
    service.breaks = [header + 40] * 5
    assert client.arrays(request, 1)["rows"].shape == (64,)


def test_lengths_and_digests_are_checked(service: StandIn, client: Client, request_of_net: dict[str, Any]) -> None:
    digests = client.digests(request_of_net, 2)
    assert len(digests["body.0.weight"]) == 64
    client.load_(Net(), request_of_net, seed=2, digests=digests)
    with pytest.raises(weight_init.DigestError, match="embedding.weight"):
        client.load_(Net(), request_of_net, seed=3, digests={"embedding.weight": digests["embedding.weight"]})
    service.excess = 1
    with pytest.raises(weight_init.WeightInitError, match="bytes long; its tensors end after"):
        client.tensor("ones", [2])


def test_busy_services_are_asked_again(service: StandIn, client: Client) -> None:
    service.refusals = [503, 503]
    assert client.tensor("ones", [2]).tolist() == [1, 1]


def test_the_last_reason_is_told(service: StandIn) -> None:
    service.refusals = [503] * 9
    with pytest.raises(weight_init.UnreachableError, match="HTTP 503: no more than that; tried 3 times"):
        Client(service.url, retries=2).tensor("ones", [2])


def test_connections_that_break_too_often_are_unreachable(service: StandIn) -> None:
    service.breaks = [3] * 9
    with pytest.raises(weight_init.UnreachableError, match="tried 2 times"):
        Client(service.url, retries=1).tensor("ones", [2])
    assert len(service.requests) == 2


def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(weight_init.UnreachableError, match="no connection .*refused"):
            Client(f"http://127.0.0.1:{taken.getsockname()[1]}", retries=0).tensor("ones", [1])


def test_a_url_without_a_scheme_is_a_wrong_argument(capsys: pytest.CaptureFixture[str]) -> None:
    for url in ("localhost:8080", "127.0.0.1", "ftp://127.0.0.1", "http://"):
        with pytest.raises(ValueError, match="is not a URL such as http://127.0.0.1:8080"):
            Client(url)
    with pytest.raises(SystemExit) as raised:
        main(["verify", "localhost:8080"])
    assert raised.value.code == 2 and "'localhost:8080' is not a URL" in capsys.readouterr().err


def test_connections_are_used_again(service: StandIn, client: Client) -> None:
    for seed in range(3):
        client.tensor("normal", [3], seed=seed)
    assert service.connections == 1
    service.breaks = [3]
    client.tensor("normal", [3])
    assert service.connections == 2


def test_a_connection_that_was_closed_while_idle_costs_no_attempt(service: StandIn) -> None:
    client = Client(service.url, retries=0)
    service.hangs_up = True
    for seed in range(3):
        client.tensor("ones", [1])
        assert select.select([client._connections._idle[-1].sock], [], [], 60)[0]
    assert service.connections == 3


def test_a_forked_process_has_connections_of_its_own(service: StandIn, client: Client) -> None:
    client.tensor("ones", [1])
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if client.tensor("ones", [2]).tolist() == [1, 1] else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.tensor("ones", [3]).tolist() == [1, 1, 1]
    assert service.connections == 2


def test_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", certificate, "-out", tmp_path / "public.pem"], check=True, capture_output=True,
    )
    certificate.write_text(certificate.read_text() + (tmp_path / "public.pem").read_text())
    with StandIn(certificate=certificate) as service:
        with pytest.raises(weight_init.UnreachableError, match="certificate verify failed"):
            Client(service.url, retries=0).tensor("ones", [1])
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "public.pem"))
        client = Client(service.url)
        assert client.tensor("ones", [2]).tolist() == client.tensor("ones", [2]).tolist() == [1, 1]


def test_errors_of_the_service_are_exceptions_with_its_words(service: StandIn, client: Client) -> None:
    with pytest.raises(weight_init.ServiceError, match="there is no method 'norml'") as raised:
        client.tensor("norml", [2])
    assert raised.value.status == 400 and len(service.requests) == 1
    service.refusals = [413]
    with pytest.raises(weight_init.TooLargeError, match="no more than that"):
        client.tensor("ones", [2])


def test_tokens() -> None:
    with StandIn(token="secret") as service:
        assert Client(service.url, token="secret").tensor("ones", [1]).tolist() == [1]
        with pytest.raises(weight_init.UnauthorizedError, match="HTTP 401: a bearer token is missing or wrong: pass token= to Client"):
            Client(service.url).tensor("ones", [1])


def test_another_profile_is_refused(request_of_net: dict[str, Any]) -> None:
    with StandIn(profile="torch-1.0") as service:
        with pytest.raises(weight_init.ProfileError, match="torch-1.0"):
            Client(service.url).tensor("ones", [1])
        module = Net(device="meta")
        with pytest.raises(weight_init.ProfileError):
            Client(service.url).load_(module, request_of_net, seed=0)
        assert all(tensor.is_meta for tensor in module.state_dict().values()) and service.requests == []


@pytest.mark.parametrize("version", ["2.0.0", "0.9.1", None], ids=str)
def test_another_version_is_refused_before_anything_changes(request_of_net: dict[str, Any], version: str | None) -> None:
    with StandIn(version=version) as service:
        module = Net(device="meta")
        with pytest.raises(weight_init.VersionError, match=f"weight-init {version}" if version else "is it a weight-init service"):
            Client(service.url).load_(module, request_of_net, seed=0)
        assert all(tensor.is_meta for tensor in module.state_dict().values()) and service.requests == []


def test_releases_of_the_same_major_version_fit_together() -> None:
    with StandIn(version="1.99.0") as service:
        assert Client(service.url).tensor("ones", [1]).tolist() == [1]


def test_version_and_profile_are_asked_once(service: StandIn, client: Client) -> None:
    for _ in range(3):
        client.tensor("ones", [1])
    assert service.read == ["/version"]


def test_replicas_of_another_profile_are_refused(service: StandIn, client: Client) -> None:
    client.tensor("ones", [1])
    service.profile = "torch-1.0"
    with pytest.raises(weight_init.ProfileError, match="profile='torch-1.0'"):
        client.tensor("ones", [1])


def test_what_does_not_fit_is_told_at_once_and_nothing_is_changed(client: Client, request_of_net: dict[str, Any]) -> None:
    module = Net()
    module.embedding = nn.Embedding(12, 8)
    module.extra = nn.Parameter(torch.zeros(2))
    del module.body[1].running_mean
    before = {name: tensor.clone() for name, tensor in named_state(module)}
    with pytest.raises(ModuleMismatchError) as raised:
        client.load_(module, request_of_net, seed=0)
    assert [problem.split(":")[0] for problem in raised.value.problems] == ["extra", "embedding.weight", "body.1.running_mean"]
    assert all(torch.equal(before[name], tensor) for name, tensor in named_state(module))


def test_narrower_dtypes_need_cast(client: Client, request_of_net: dict[str, Any]) -> None:
    with pytest.raises(LossyDtypeError, match="cast=True") as raised:
        client.load_(Net().to(torch.bfloat16), request_of_net, seed=0)
    assert [problem.split(":")[0] for problem in raised.value.problems] == [
        "scale", "embedding.weight", "body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias", "body.1.running_mean",
        "body.1.running_var", "head.weight",
    ]
    module = client.load_(Net().to(torch.bfloat16), request_of_net, seed=0, cast=True)
    torch.manual_seed(0)
    for name, tensor in named_state(Net().to(torch.bfloat16)):
        assert torch.equal(tensor, dict(named_state(module))[name]), name
    wider = client.load_(Net().double(), request_of_net, seed=0)
    torch.manual_seed(0)
    assert torch.equal(wider.head.weight, Net().double().head.weight)


def test_floats_do_not_become_integers(client: Client, request_of_net: dict[str, Any]) -> None:
    module = Net()
    module.body[1].running_mean = torch.zeros(8, dtype=torch.int64)
    module.body[1].double()
    module.body[1].running_var = torch.zeros(8, dtype=torch.float16)
    with pytest.raises(ModuleMismatchError) as raised:
        client.load_(module, request_of_net, seed=0)
    assert not isinstance(raised.value, LossyDtypeError)
    assert [problem.partition(": ")[2] for problem in raised.value.problems] == [
        "is torch.int64, the request makes torch.float32", "is torch.float16, the request makes torch.float32: pass cast=True to round"
    ]
    with pytest.raises(ModuleMismatchError, match="is torch.int64"):
        client.load_(module, request_of_net, seed=0, cast=True)


_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@pytest.mark.parametrize("made", [torch.bool, torch.uint8, torch.int8, torch.int16, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("held", [torch.bool, *_INTEGERS, *_FLOATS], ids=str)
def test_a_dtype_holds_another_if_all_of_its_values_survive(held: torch.dtype, made: torch.dtype) -> None:
    bits = torch.arange(1 << 16, dtype=torch.int32)
    if made.itemsize == 1:
        values = bits[:2].bool() if made == torch.bool else bits[:256].to(torch.uint8).view(made)
    else:
        values = bits.to(torch.int16).view(made)
    if made.is_floating_point:
        # Integers have neither infinities nor NaN.
        values = values[values.isfinite()]
    assert loading_modules._holds(held, made) == torch.equal(values.to(held).double(), values.double())


def test_wide_integers_fit_into_no_float_of_fewer_bits() -> None:
    fits = {(held, made) for held in _FLOATS for made in (torch.int32, torch.int64) if loading_modules._holds(held, made)}
    assert fits == {(torch.float64, torch.int32)}


def test_models_have_names(service: StandIn, client: Client, request_of_net: dict[str, Any]) -> None:
    service.models["acme/net"] = request_of_net
    assert equal(client.load_(Net(), "acme/net", seed=6), 6)
    assert torch.equal(client.state_dict("acme/net", 6)["head.weight"], expected(6)["head.weight"])
    assert client.digests("acme/net", 6) == client.digests(request_of_net, 6)
    assert set(client.arrays("acme/net", 6, include=["body.0.*"])) == {"body.0.weight", "body.0.bias"}
    with pytest.raises(weight_init.ServiceError, match="HTTP 404: there is no such model"):
        client.load_(Net(), "acme/other", seed=6)


def test_the_services_models_are_listed(service: StandIn, client: Client) -> None:
    assert client.models() == []
    service.models = {name: {"tensors": [{"name": "a", "shape": [2, 3], "method": "ones"}]} for name in ("acme/net", "acme/a")}
    small, net = client.models()
    assert net == weight_init.Model("acme/net", "acme/net for tests", tensors=1, parameters=6, bytes=24, files=("init.json",))
    assert small.name == "acme/a" and client.arrays(small.name, 1)["a"].tolist() == [[1] * 3] * 2


def test_a_list_of_models_of_another_form_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for reply in ([], {"models": [{"name": "a"}]}, {"models": [3]}):
        monkeypatch.setattr(Client, "_json", lambda self, path, reply=reply: reply)
        with pytest.raises(weight_init.WeightInitError, match="does not list its models as expected"):
            client.models()


def test_a_file_in_the_place_of_a_model_is_to_be_read(client: Client) -> None:
    with pytest.raises(weight_init.ServiceError, match=r"HTTP 404: there is no such model; .* read it: json.load\(open\('net.json'\)\)$") as raised:
        client.arrays("net.json", 42)
    assert raised.value.status == 404
    with pytest.raises(weight_init.ServiceError, match="there is no such model$"):
        client.arrays("acme/net", 42)
    with pytest.raises(TypeError, match=r"the request is .*Path\('net.json'\); .* json.load reads"):
        client.arrays(Path("net.json"), 42)  # type: ignore[arg-type]


def test_a_service_is_compared_with_the_installed_torch(service: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = weight_init.verify(service.url)
    assert outcome.differences == [] and outcome.compared > 150
    assert main(["verify", service.url]) == 0
    assert capsys.readouterr().out == f"{outcome.compared} of {outcome.compared} tensors are those of torch {torch.__version__}.\n"
    service.shift = 1
    differences = weight_init.verify(service.url).differences
    assert "normal, float32, 33×17" in differences and "steps" in differences
    assert not any(name.startswith(("zeros", "ones", "eye")) for name in differences)
    assert main(["verify", service.url]) == 1


def test_what_is_no_safetensors_file_is_refused() -> None:
    from weight_init.safetensors import read_header

    def reader(data: bytes) -> Any:
        position = 0

        def read(count: int) -> bytes:
            nonlocal position
            position += count
            return data[position - count:position]

        return read

    def header(text: str) -> bytes:
        return len(text).to_bytes(8, "little") + text.encode()

    for data in (b"\xff" * 16, header("[]"), header("{"), header('{"a": {}}'), header('{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}'),
                 header('{"a": {"dtype": "Q4", "shape": [1], "data_offsets": [0, 4]}}')):
        with pytest.raises(weight_init.WeightInitError, match="not a safetensors file"):
            read_header(reader(data))


def _rank(rank: int, url: str, request: dict[str, Any], fully_sharded: bool) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_module, distribute_tensor

    mesh = init_device_mesh("cpu", (2,))
    module = Net("meta" if fully_sharded else None)
    placements = {"embedding.weight": Shard(0), "body.0.weight": Shard(1), "body.0.bias": Replicate()}

    def partition(name: str, part: nn.Module, mesh: Any) -> None:
        for leaf, parameter in list(part._parameters.items()):
            if parameter is not None and f"{name}.{leaf}" in placements:
                whole = distribute_tensor(parameter.detach(), mesh, [placements[f"{name}.{leaf}"]])
                part.register_parameter(leaf, nn.Parameter(whole))

    if fully_sharded:
        fully_shard(module.body, mesh=mesh)
        fully_shard(module, mesh=mesh)
    else:
        distribute_module(module, mesh, partition)
        module.head.weight = module.embedding.weight
    seen = [0]
    Client(url).load_(module, request, seed=77, progress=lambda at, total: seen.append(at))
    torch.manual_seed(77)
    for (name, tensor), (_, whole) in zip(named_state(module), named_state(Net())):
        held = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        assert torch.equal(held, whole), name
    held_bytes = sum(
        (t.to_local() if isinstance(t, DTensor) else t).numel() * t.element_size()
        for t in {id(t): t for _, t in named_state(module)}.values()
    )
    assert max(seen) == held_bytes, (max(seen), held_bytes)


@pytest.mark.parametrize("fully_sharded", [False, True], ids=["tensor parallel", "FSDP2 from the meta device"])
def test_each_rank_fetches_the_part_that_it_holds(service: StandIn, request_of_net: dict[str, Any], fully_sharded: bool) -> None:
    ranks.run(2, _rank, service.url, request_of_net, fully_sharded)


def _one_fails(rank: int, how: str) -> int:
    import torch.distributed

    if rank == 1:
        if how == "raises":
            raise ValueError("no more than that")
        if how == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(3)
    torch.distributed.barrier()
    return rank


@pytest.mark.parametrize(
    ("how", "reason"),
    [("raises", "rank 1: (?s:.*)ValueError: no more than that"), ("is killed", "rank 1: ended with SIGKILL"), ("exits", "rank 1: ended with status 3")],
)
def test_a_rank_that_fails_fails_its_test(how: str, reason: str) -> None:
    with pytest.raises(ranks.RankError, match=reason):
        ranks.run(2, _one_fails, how, method="fork")
