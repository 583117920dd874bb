"""The interpreter's language: requests that it accepts, and requests that it refuses, with the place."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import pytest
import torch

from weight_init import RequestError, interpret
from weight_init.blocks import block, parsed, spelled
from weight_init.literals import decode, encode
from weight_init.recorder import View


def made(tensors: list[dict[str, Any]], steps: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, torch.Tensor]:
    return interpret({"tensors": tensors, "steps": steps or [], **more}, 3)


ROWS = {"name": "rows", "shape": [4, 3]}


def test_entries_are_drawn_in_order_and_steps_after_them() -> None:
    tensors = made(
        [{"name": "a", "shape": [20], "method": "normal", "std": 0.5}, {"name": "b", "shape": [3]}, {"name": "c", "shape": [2], "method": "uniform"}],
        [{"tensor": "b", "method": "uniform", "a": -1}],
    )
    torch.manual_seed(3)
    assert torch.equal(tensors["a"], torch.empty(20).normal_(0, 0.5))
    assert torch.equal(tensors["c"], torch.empty(2).uniform_())
    assert torch.equal(tensors["b"], torch.empty(3).uniform_(-1, 1))


def test_a_list_of_tensors_and_then_are_several_steps() -> None:
    chain = {"method": "uniform", "then": [{"method": "mul", "value": 2}, {"method": "clamp", "max": 1}]}
    short = made([ROWS, {"name": "b", "shape": [5]}], [{"tensor": ["rows", "b"], **chain}])
    long = made(
        [ROWS, {"name": "b", "shape": [5]}],
        [{"tensor": n, "method": m, **p} for n in ("rows", "b")
         for m, p in (("uniform", {}), ("mul", {"value": 2}), ("clamp", {"max": 1}))],
    )
    assert all(torch.equal(short[name], long[name]) for name in long)


def test_slices_are_numpys() -> None:
    tensors = made(
        [{"name": "rows", "shape": [4, 3], "method": "zeros"}],
        [{"tensor": "rows", "slice": "1:3,-1:", "method": "ones"}, {"tensor": "rows", "slice": "0", "method": "constant", "value": 2}],
    )
    assert tensors["rows"].tolist() == [[2, 2, 2], [0, 0, 1], [0, 0, 1], [0, 0, 0]]


def test_discards_move_the_generator() -> None:
    tensors = made([ROWS], [{"method": "uniform", "shape": [7]}, {"method": "normal", "shape": [3]}, {"tensor": "rows", "method": "normal"}])
    torch.manual_seed(3)
    torch.empty(7).uniform_()
    torch.empty(3).normal_()
    assert torch.equal(tensors["rows"], torch.empty(4, 3).normal_())


def test_include_and_cast() -> None:
    request = {"tensors": [{**ROWS, "method": "normal"}, {"name": "hidden", "shape": [1], "method": "ones", "persistent": False}],
               "cast": "bfloat16", "tie": {"also": "rows"}}
    assert list(interpret(request, 1)) == ["rows", "also"]
    assert interpret(request, 1)["also"].dtype == torch.bfloat16
    assert list(interpret(request | {"include": ["h*"]}, 1)) == []
    assert list(interpret(request | {"include": ["hidden"]}, 1)) == ["hidden"]
    assert list(interpret(request | {"include": ["r*"]}, 1)) == ["rows"]


@pytest.mark.parametrize(
    ("tensors", "steps", "pointer"),
    [
        ([ROWS], [], "/tensors"),
        ([ROWS], [{"tensor": "rows", "slice": "0:2", "method": "ones"}], "/tensors"),
        ([ROWS], [{"tensor": "rows", "method": "mul", "value": 2}], "/steps/0"),
        ([ROWS], [{"tensor": "rows", "slice": "0:5", "method": "ones"}], "/steps/0/slice"),
        ([ROWS], [{"tensor": "rows", "slice": ":,:,:", "method": "ones"}], "/steps/0/slice"),
        ([ROWS], [{"tensor": "rows", "slice": "::2", "method": "ones"}], "/steps/0/slice"),
        ([ROWS], [{"tensor": "columns", "method": "ones"}], "/steps/0/tensor"),
        ([ROWS], [{"method": "uniform"}], "/steps/0"),
        ([ROWS], [{"tensor": "rows"}], "/steps/0"),
        ([ROWS], [{"tensor": "rows", "method": "log"}], "/steps/0/method"),
        ([ROWS], [{"tensor": "rows", "method": "normal", "width": 2}], "/steps/0/width"),
        ([ROWS], [{"tensor": "rows", "method": "uniform", "a": 2}], "/steps/0"),
        ([ROWS], [{"tensor": "rows", "method": "copy", "from": "rows"}], "/steps/0"),
        ([{**ROWS, "method": "ones"}], [{"tensor": "rows", "method": "copy", "from": "rows", "from_slice": "0:2"}], "/steps/0"),
        ([{**ROWS, "method": "ones"}], [{"tensor": "rows", "method": "add"}], "/steps/0"),
        ([{**ROWS, "method": "ones"}], [{"tensor": "rows", "method": "clamp"}], "/steps/0"),
        ([{**ROWS, "method": "ones"}, {**ROWS, "method": "ones"}], [], "/tensors/1/name"),
        ([{**ROWS, "method": "ones", "dtype": "float8"}], [], "/tensors/0/dtype"),
        ([{"name": "a", "shape": [-1], "method": "ones"}], [], "/tensors/0/shape"),
        ([{"name": "a", "shape": [1], "method": "data"}], [], "/tensors/0"),
        ([{"name": "a", "shape": [1], "method": "data", "base64": "AAAA"}], [], "/tensors/0/base64"),
        ([{"name": "a", "shape": [1], "method": "data", "base64": "!!!!"}], [], "/tensors/0/base64"),
        ([{"name": "a", "shape": [1], "method": "data", "zlib": base64.b64encode(zlib.compress(b"\0" * 5)).decode()}], [], "/tensors/0/zlib"),
        ([{"name": "a", "shape": [1], "method": "data", "zlib": "AAAA"}], [], "/tensors/0/zlib"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tensors: list[dict[str, Any]], steps: list[dict[str, Any]], pointer: str) -> None:
    with pytest.raises(RequestError) as raised:
        made(tensors, steps)
    assert raised.value.pointer == pointer


def test_unknown_members_and_broken_ties_are_refused() -> None:
    with pytest.raises(RequestError, match="layers"):
        interpret({"layers": []}, 0)
    with pytest.raises(RequestError, match="another name"):
        interpret({"tensors": [{**ROWS, "method": "ones"}], "tie": {"a": "b"}}, 0)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(3), torch.ones(2, 2, dtype=torch.int64), torch.full((4,), 0.1), torch.full((2,), float("nan")),
        torch.tensor([float("inf")] * 3), torch.tensor([-0.0]), torch.arange(5, 20, 3), torch.arange(9).reshape(3, 3).to(torch.int8),
        torch.tensor([2**62, 2**62]), torch.tensor([True, False]), torch.tensor([1.5, -2], dtype=torch.bfloat16),
        torch.tensor([0.1], dtype=torch.float16), torch.tensor([0.1], dtype=torch.float64), torch.empty(0, 3), torch.tensor(7),
        torch.arange(100.0).cos(), torch.eye(20), torch.arange(10, 0, -1), torch.tensor([0x7fc00001], dtype=torch.int32).view(torch.float32),
        torch.tensor([250, 251, 252], dtype=torch.uint8), torch.tensor([0, 100, -56], dtype=torch.int8),
    ],
    ids=str,
)
def test_literals_read_back_bit_for_bit(tensor: torch.Tensor) -> None:
    members = encode(tensor)
    back = decode(members, tuple(tensor.shape), tensor.dtype, "")
    assert back.dtype == tensor.dtype and back.shape == tensor.shape
    assert back.contiguous().view(-1).view(torch.uint8).equal(tensor.contiguous().view(-1).view(torch.uint8))


@pytest.mark.parametrize("text", ["1:3", ":,2:4", "0:1,1:2,3:5", "2:3,:,1:5", ":,:,4:5", "1:2,0:4,0:5"])
def test_blocks_are_found_in_views_of_any_form(text: str) -> None:
    base = torch.arange(60).reshape(3, 4, 5)
    part = base[parsed(text, base.shape)]
    for seen in (part, part.squeeze(), part.unsqueeze(1)):
        view = View(0, tuple(seen.shape), tuple(seen.stride()), seen.storage_offset(), seen.dtype)
        ends = block(view, base.shape)
        assert ends is not None
        assert base[tuple(slice(*end) for end in ends)].flatten().equal(seen.flatten())
        again = spelled(ends, base.shape)
        assert again is not None and base[parsed(again, base.shape)].equal(part)


def test_flattened_blocks_are_found_and_others_are_none() -> None:
    base = torch.arange(60).reshape(3, 4, 5)
    for seen, found in (
        (base.view(-1), True), (base.view(12, 5)[4:8], True), (base[1].view(-1), True), (base[:, 1:3].flatten(1)[:, :0], False),
        (base.transpose(0, 1), False), (base[::2], False), (base.view(-1)[3:9], False), (base[0, 0, :1].expand(3), False),
    ):
        view = View(0, tuple(seen.shape), tuple(seen.stride()), seen.storage_offset(), seen.dtype)
        assert (block(view, base.shape) is not None) == found, seen.shape
