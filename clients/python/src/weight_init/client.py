"""Tensors from a weight-init service, as NumPy arrays or torch tensors, and into modules.

A module's tensors are read from replies straight into their memory, without copies. After a broken connection, a new
one fetches the missing rows. Every rank of a distributed module fetches only the part that it holds.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import math
import operator
import random
import re
import textwrap
import threading
import time
import urllib.parse
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Callable, Iterator, Literal, Mapping, NoReturn, Sequence, Union, overload

import numpy as np

from . import __version__
from .connections import Connections, Reply, Unanswered
from .errors import (
    DigestError,
    Fault,
    ProfileError,
    ServiceError,
    TooLargeError,
    UnauthorizedError,
    UnreachableError,
    VersionError,
    WeightInitError,
)
from .request import plain
from .safetensors import LETTERS, NAMES, SIZES, Header, Member, read_header

if TYPE_CHECKING:
    import torch

#: NumPy has no bfloat16: these arrays are uint16 with the same bits.
_NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
          "U8": "u1", "BOOL": "?"}
_PIECE = 1 << 20
_BUSY = frozenset({429, 502, 503, 504})
#: Number of allowed values in the message of an error.
_ALLOWED = 8
#: The place of an argument of :meth:`Client.tensor` in the request that it sends.
_PLACE = re.compile(r"^/(?:tensors/0(?:/|$))?")
#: Members of a tensor in a request that :meth:`Client.tensor` does not take.
_OF_SEVERAL = ("name", "persistent")
#: Longest pause between attempts, and longest Retry-After that is obeyed, in seconds.
_LONGEST_PAUSE, _LONGEST_WAIT = 5.0, 30.0

#: A member, used only within the client, with the name of the service's model that a request belongs to.
_NAME = "\0model"
#: Bytes of a body that any service accepts. A longer request of one of the service's models is replaced by the model's
#: name.
_LONGEST_BODY = 1 << 19
#: A request for POST /init, such as ``weight_init.trace`` returns, or the name of one of the service's models.
Request = Mapping[str, Any] | str
#: A dtype: its name, or torch's or NumPy's own, such as ``torch.float16`` or ``numpy.float16``.
Dtype = Union[str, "torch.dtype", "np.dtype[Any]", "type[np.generic]"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Model:
    """A model of the service's catalogue. The client's methods accept ``name`` in place of the model's request."""

    name: str
    description: str
    #: Tensors of its state dict.
    tensors: int
    #: Elements of all parameters.
    parameters: int
    #: Bytes of all tensors.
    bytes: int
    #: Names of the model's files on the service, besides the weights, such as ``config.json``.
    files: tuple[str, ...]


_MODEL = tuple(field.name for field in fields(Model))


class _Stopped(Exception):
    """Nobody waits for the result any more."""


class _Session:
    """State that all calls of a client share."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.received = 0
        #: True once the service's version and profile have been compared.
        self.is_known = False


class Client:
    """A service at ``url``. Threads may share it.

    The first call compares the service's version and profile with the client's: :exc:`VersionError` and
    :exc:`ProfileError` are raised before anything is fetched or changed.

    Args:
        url: such as ``http://127.0.0.1:8080``.
        token: a bearer token, if the service needs one.
        retries: how often in a row a request is repeated without progress: no connection, a broken one, or a busy
            service.
        timeout: seconds without a byte after which a connection counts as broken.
        profile: the wanted bits; replies of a service with another profile are refused.

    Raises:
        ValueError: ``url`` is not an HTTP URL.
    """

    def __init__(
        self, url: str, token: str | None = None, *, retries: int = 5, timeout: float = 60.0, profile: str = "torch-2.13"
    ) -> None:
        self.url, self.retries, self.profile = url.rstrip("/"), retries, profile
        self._session = _Session()
        #: Ends the call that this client was made for; None in a client for any number of calls.
        self._stop: threading.Event | None = None
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._connections = Connections(self.url, timeout)

    @property
    def received(self) -> int:
        """Bytes of all bodies that this client received."""
        return self._session.received

    def _for_one_call(self) -> tuple[Client, threading.Event]:
        """This client for one call, and the event that ends the call: no piece is read and no request repeated after it."""
        if self._stop is not None:
            return self, self._stop
        twin = copy.copy(self)
        twin._stop = threading.Event()
        return twin, twin._stop

    def request(self, name: str) -> dict[str, Any]:
        """The request of one of the service's models, by its name: ``client.request("random/resnet50")``.

        Raises:
            ServiceError: the service has no such model (404).
            UnreachableError: there is no connection, or replies break off.
        """
        quoted = urllib.parse.quote(name)
        try:
            request: dict[str, Any] = self._json(f"/{quoted}/resolve/main/init.json")
        except ServiceError as error:
            if error.status != 404 or not name.endswith(".json"):
                raise
            raise ServiceError(404, f"{error.detail}; to use a request from a file, read it: json.load(open({name!r}))") from None
        return request

    def models(self) -> list[Model]:
        """The service's models, sorted by name: ``[model.name for model in client.models()]``.

        Raises:
            ServiceError: the service refuses the request.
            UnreachableError: there is no connection, or replies break off.
        """
        catalogue = self._json("/models")
        try:
            return [Model(**{member: model[member] for member in _MODEL} | {"files": tuple(model["files"])}) for model in catalogue["models"]]
        except (KeyError, TypeError) as error:
            raise WeightInitError(f"{self.url} does not list its models as expected: {error!r}") from None

    def _known(self, request: Request) -> Mapping[str, Any]:
        if isinstance(request, str):
            return {**self.request(request), _NAME: request}
        if not isinstance(request, Mapping):
            raise TypeError(f"the request is {request!r}; it can be a mapping, such as json.load reads from a file, or a model's name")
        return request

    @overload
    def tensor(
        self, method: str, shape: int | Sequence[int], *, seed: int = 0, dtype: Dtype = "float32",
        library: Literal["numpy"] = "numpy", **parameters: Any,
    ) -> np.ndarray[Any, Any]: ...

    @overload
    def tensor(
        self, method: str, shape: int | Sequence[int], *, seed: int = 0, dtype: Dtype = "float32",
        library: Literal["torch"], **parameters: Any,
    ) -> torch.Tensor: ...

    def tensor(
        self, method: str, shape: int | Sequence[int], *, seed: int = 0, dtype: Dtype = "float32",
        library: Literal["numpy", "torch"] = "numpy", **parameters: Any,
    ) -> np.ndarray[Any, Any] | torch.Tensor:
        """One tensor of ``shape``: ``client.tensor("kaiming_uniform", [64, 3, 7, 7], seed=42, a=5**0.5)``.

        Args:
            method: a method of the service, such as "xavier_uniform"; PyTorch's name "xavier_uniform_" is accepted, too.
            parameters: the method's parameters, with PyTorch's names and defaults. ``gain`` is a number, or the activation whose gain
                PyTorch's ``calculate_gain`` returns: "relu", "leaky_relu:0.2" with its parameter, or
                ``{"nonlinearity": "leaky_relu", "param": 0.2}``.
            shape: sizes; an int is the size of a one-dimensional tensor.
            dtype: a name, or a dtype of torch or NumPy.
            seed: the generator's seed.
            library: "numpy" for an array; "torch" for a tensor on the CPU. NumPy has no bfloat16: the array is uint16
                with the same bits, and ``torch.from_numpy(array).view(torch.bfloat16)`` has the values.

        Raises:
            ServiceError: the service refuses the request. The message names the argument, and the nearest allowed values.
            UnreachableError: there is no connection, or replies break off.
            VersionError, ProfileError: the service is another than this client wants.
            WeightInitError: an argument is a member of requests for several tensors.
        """
        for member in _OF_SEVERAL:
            if member in parameters:
                raise WeightInitError(f"{member} is not an argument of tensor, whose tensor is alone: use it in a request for arrays or state_dict")
        if isinstance(parameters.get("gain"), str):
            parameters["gain"] = _activation(parameters["gain"])
        request = {"tensors": [{"name": "tensor", "shape": _sizes(shape), "method": method, "dtype": dtype, **parameters}]}
        if library not in ("numpy", "torch"):
            raise ValueError(f"library is {library!r}; it can be 'numpy' or 'torch'")
        try:
            return (self.arrays if library == "numpy" else self._tensors)(request, seed)["tensor"]
        except ServiceError as error:
            own = [
                (_PLACE.sub("", place), detail, [value for value in allowed if value not in _OF_SEVERAL])
                for place, detail, allowed in error._faults
            ]
            error.detail = _explained(own) + error.detail.removeprefix(_explained(error._faults))
            raise

    def arrays(
        self, request: Request, seed: int, *, include: Sequence[str] | None = None, digests: Mapping[str, str] | None = None
    ) -> dict[str, np.ndarray[Any, Any]]:
        """The tensors of a request as NumPy arrays by their names, tied names included.

        The order is the service's file's: larger element types first, tied names last. For bfloat16, arrays are uint16
        with the same bits.

        Args:
            request: a request, or the name of one of the service's models; ``seed`` and ``format`` are replaced.
            seed: the generator's seed.
            include: names or patterns of the wanted tensors; by default those of the state dict.
            digests: SHA-256 of the bytes of tensors, such as another client's :meth:`digests` returned.

        Raises:
            DigestError: a tensor has another digest.
            ServiceError: the service refuses the request.
            UnreachableError: there is no connection, or replies break off.
        """
        request = self._known(request)
        made: dict[str, np.ndarray[Any, Any]] = {}

        def place(member: Member) -> memoryview:
            made[member.name] = np.empty(member.shape, _NUMPY[member.dtype])
            return made[member.name].reshape(-1).view(np.uint8).data

        asked = dict(request) if include is None else {**request, "include": list(include)}
        header = self._fetch(asked, seed, place, digests=digests)
        for name, target in header.metadata.items():
            if target in made and name not in made and name in request.get("tie", {}):
                made[name] = made[target]
        return made

    def state_dict(self, request: Request, seed: int) -> Mapping[str, torch.Tensor]:
        """The state dict that a request makes, as a mapping from names to torch tensors of their shapes, on the CPU.

        A tensor is fetched when it is first read, and kept. Tied names share one tensor. ``torch.save`` and
        safetensors' ``save_file`` need a dict: ``dict(state)`` fetches all tensors.

        Raises:
            ServiceError, UnreachableError, VersionError, ProfileError: here, or when a tensor is read.
        """
        return self._state(request, seed)

    def _tensors(self, request: Mapping[str, Any], seed: int) -> dict[str, torch.Tensor]:
        """The tensors of a request, without tied names."""
        import torch

        made: dict[str, torch.Tensor] = {}

        def place(member: Member) -> memoryview:
            made[member.name] = torch.empty(member.shape, dtype=getattr(torch, NAMES[member.dtype]))
            return memory(made[member.name])

        self._fetch(request, seed, place)
        return made

    def _state(self, request: Request, seed: int) -> _LazyState:
        return _LazyState(self, self._known(request), seed)

    def digests(self, request: Request, seed: int) -> dict[str, str]:
        """The SHA-256 of each tensor's bytes, in hexadecimal, by its name. The service sends only the digests.

        Raises:
            ServiceError: the service refuses the request.
            UnreachableError: there is no connection, or replies break off.
        """
        summary = self._json("/init", {**self._known(request), "seed": seed, "format": "summary"})
        return {tensor["name"]: tensor["sha256"] for tensor in summary["tensors"]}

    def load_(
        self,
        module: torch.nn.Module,
        request: Request,
        *,
        seed: int,
        device: str | torch.device | None = None,
        cast: bool = False,
        connections: int = 4,
        digests: Mapping[str, str] | None = None,
        progress: Progress | bool = False,
    ) -> torch.nn.Module:
        """Fills a module's parameters and buffers in place with the tensors that a request makes.

        Modules on the meta device get memory first. Each rank fetches only its part of a DTensor (FSDP2, tensor
        parallel).

        Args:
            module: its names and shapes must be the request's.
            request: a request, such as ``weight_init.trace`` returns, or the name of one of the service's models.
            seed: the generator's seed.
            device: where tensors of the meta device get memory; by default the CPU.
            cast: allow dtypes of the module with less range or precision than the request's: values are rounded as by
                ``tensor.to``.
            connections: maximum number of simultaneous requests, for about equal parts; large tensors are divided by
                rows. Parts have at least 32 MiB.
            digests: SHA-256 of the bytes of tensors; tensors that this process fetches whole are checked.
            progress: called with the bytes received so far and the total. True shows tqdm's bar if tqdm is installed.

        Returns:
            The module.

        Raises:
            ModuleMismatchError: names, shapes or dtypes do not fit, LossyDtypeError if only ``cast`` is missing; nothing was changed.
            ProfileError, VersionError: the service is another than this client wants; nothing was changed.
            DigestError, ServiceError, UnreachableError: after which tensors may have been filled in part.
        """
        from .loading_modules import load

        with _bar(progress) as shown:
            return load(
                self, module, self._known(request), seed, device=device, cast=cast, connections=connections, digests=digests, progress=shown
            )

    # HTTP

    def _plan(self, request: Mapping[str, Any], seed: int) -> tuple[list[Member], dict[str, str]]:
        """The tensors that a request makes, in the order of the state dict, and their tied names. Nothing is generated.

        The offsets have no meaning.
        """
        plan = self._json("/explain", {**request, "seed": seed})
        try:
            members = []
            for tensor in plan["tensors"]:
                letters, shape = LETTERS[tensor["dtype"]], tuple(tensor["shape"])
                members.append(Member(tensor["name"], letters, shape, 0, math.prod(shape) * SIZES[letters]))
            return members, dict(plan.get("tie", {}))
        except (KeyError, TypeError) as error:
            raise WeightInitError(f"{self.url} does not explain requests as expected: {error!r}") from None

    def _json(self, path: str, asked: Mapping[str, Any] | None = None) -> Any:
        """The service's answer to a POST, or to a GET if ``asked`` is None."""
        self._greet()
        try:
            return json.loads(self._data(path, asked))
        except ValueError:
            raise WeightInitError(f"{self.url}{path} does not send JSON") from None

    def _data(self, path: str, asked: Mapping[str, Any] | None = None) -> bytes:
        """The body of the reply to a POST, or to a GET if ``asked`` is None."""
        patience = _Patience(self)
        while True:
            try:
                with self._ask(path, asked) as reply:
                    return reply.rest()
            except Unanswered as broken:
                patience.spend(broken)

    def _greet(self) -> None:
        """Compares the service's version and profile with this client's, once."""
        if self._session.is_known:
            return
        try:
            service = json.loads(self._data("/version"))
            version, profile = str(service["version"]), str(service["profile"])
        except (ValueError, KeyError, TypeError):
            raise VersionError(f"{self.url}/version does not say a version: is it a weight-init service?") from None
        except ServiceError as error:
            if error.status != 404:
                raise
            raise VersionError(f"{self.url} has no /version: is it a weight-init service?") from None
        if version.partition(".")[0] != __version__.partition(".")[0]:
            raise VersionError(
                f"{self.url} is weight-init {version}, this package is {__version__}: install the package of the service's major version"
            )
        self._compare(profile)
        self._session.is_known = True

    def _fetch(
        self,
        request: Mapping[str, Any],
        seed: int,
        place: Callable[[Member], memoryview],
        done: Callable[[Member], None] | None = None,
        received: Callable[[int], None] | None = None,
        digests: Mapping[str, str] | None = None,
    ) -> Header:
        """Reads every tensor of a reply into the memory that ``place`` gives for it.

        After a broken connection, the missing tensors are requested, and the missing rows of the interrupted tensor.
        """
        self._greet()
        transfer = _Transfer(self, request, place, done, received, digests or {})
        patience = _Patience(self)
        while True:
            before = transfer.bytes
            try:
                with self._ask("/init", {**transfer.missing(), "seed": seed, "format": "safetensors"}) as reply:
                    return transfer.read(reply)
            except Unanswered as broken:
                if transfer.bytes > before:
                    patience = _Patience(self)
                patience.spend(broken)

    def _count(self, more: int) -> None:
        with self._session.lock:
            self._session.received += more
        self._go_on()

    def _go_on(self) -> None:
        if self._stop is not None and self._stop.is_set():
            raise _Stopped

    def _compare(self, profile: str) -> None:
        if profile != self.profile:
            raise ProfileError(
                f"{self.url} makes the bits of {profile}, not of {self.profile}: ask another service, or pass profile={profile!r} to Client"
            )

    def _ask(self, path: str, asked: Mapping[str, Any] | None) -> _Body:
        self._go_on()
        name, asked = _named(asked)
        method, body = ("GET", None) if asked is None else ("POST", _encoded(asked))
        if name and asked is not None and body is not None and len(body) > _LONGEST_BODY:
            if path == "/explain":
                body = _encoded(_without_literals(asked))
            elif path == "/init":
                path, method, body = _path(name, asked), "GET", None
        reply = self._connections.ask(method, path, body, self._headers)
        if reply.status == 200:
            return _Body(reply, self._count)
        with reply:
            detail, faults = _detail(reply)
        if reply.status in _BUSY:
            wait = reply.header("Retry-After")
            raise Unanswered(f"HTTP {reply.status}: {detail}", float(wait) if wait.isdigit() else 0.0)
        error = {401: UnauthorizedError, 403: UnauthorizedError, 413: TooLargeError}.get(reply.status, ServiceError)(reply.status, detail)
        error._faults = faults
        raise error


def _encoded(asked: Mapping[str, Any]) -> bytes:
    return json.dumps(asked, default=plain).encode()


def _activation(text: str) -> str | dict[str, Any]:
    """A gain in a query's form as JSON has it: "leaky_relu:0.2" with its parameter; text for numbers such as "inf" stays."""
    name, colon, param = text.partition(":")
    if not colon:
        return text if text.lower().lstrip("+-") in ("inf", "infinity", "nan") else {"nonlinearity": name}
    try:
        return {"nonlinearity": name, "param": float(param)}
    except ValueError:
        return {"nonlinearity": name, "param": param}


def _sizes(shape: int | Sequence[int]) -> list[int]:
    """A shape in the form of a request."""
    try:
        return [operator.index(shape)] if isinstance(shape, (int, np.integer)) else list(shape)
    except TypeError:
        raise TypeError(f"shape is {shape!r}; it can be an int or a sequence of ints") from None


def _named(asked: Mapping[str, Any] | None) -> tuple[str, Mapping[str, Any] | None]:
    """The name of the service's model that a request belongs to, or "", and the request without the name."""
    if asked is None or _NAME not in asked:
        return "", asked
    return asked[_NAME], {member: value for member, value in asked.items() if member != _NAME}


def _without_literals(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request for the same tensors, with zeros in place of literals."""
    tensors = [
        {key: "zeros" if key == "method" else value for key, value in tensor.items() if key not in ("base64", "zlib")}
        if tensor.get("method") == "data" else tensor
        for tensor in request.get("tensors", [])
    ]
    return {**request, "tensors": tensors}


def _path(name: str, asked: Mapping[str, Any]) -> str:
    """The URL of one of the service's models with the members that the client sets."""
    members = {member: asked[member] for member in ("seed", "format", "include", "slices") if member in asked}
    texts = {member: json.dumps(value) if isinstance(value, (list, dict)) else str(value) for member, value in members.items()}
    return f"/models/{urllib.parse.quote(name)}?{urllib.parse.urlencode(texts, quote_via=urllib.parse.quote)}"


class _Patience:
    """The attempts that are left. Pauses double, and are shortened at random so that clients do not retry together."""

    def __init__(self, client: Client) -> None:
        self._client, self._tried = client, 0

    def spend(self, broken: Unanswered) -> None:
        self._tried += 1
        if self._tried > self._client.retries:
            tried = f"{self._tried} times" if self._tried > 1 else "once"
            raise UnreachableError(
                f"{self._client.url}: {broken}; tried {tried}. Check the URL and the service, or pass a larger retries= to Client"
            ) from broken
        pause = min(0.1 * 2 ** (self._tried - 1), _LONGEST_PAUSE) * random.uniform(0.5, 1.0)
        pause = max(pause, min(broken.wait, _LONGEST_WAIT))
        if self._client._stop is None:
            time.sleep(pause)
        elif self._client._stop.wait(pause):
            raise _Stopped from broken


class _Transfer:
    """The tensors of one request, fetched in as many replies as needed."""

    def __init__(
        self,
        client: Client,
        request: Mapping[str, Any],
        place: Callable[[Member], memoryview],
        done: Callable[[Member], None] | None,
        received: Callable[[int], None] | None,
        digests: Mapping[str, str],
    ) -> None:
        self._client, self._request, self._place, self._done = client, request, place, done
        self._received, self._digests = received, digests
        self._first: Header | None = None
        self._left: dict[str, Member] = {}
        self._targets: dict[str, memoryview] = {}
        #: Bytes of an interrupted tensor that have arrived: whole rows.
        self._at: dict[str, int] = {}
        self.bytes = 0

    def missing(self) -> Mapping[str, Any]:
        """The request for the tensors and rows that have not arrived."""
        if self._first is None:
            return self._request
        asked = {**self._request, "include": list(self._left)}
        slices = dict(self._request.get("slices", {}))
        for name, at in self._at.items():
            if at:
                member = self._left[name]
                slices[name] = rows_of(slices.get(name), at * member.shape[0] // member.bytes, member.shape[0])
        return asked | ({"slices": slices} if slices else {})

    def read(self, reply: _Body) -> Header:
        header = read_header(reply.read)
        # One address may have replicas of several versions.
        self._client._compare(header.metadata.get("profile", self._client.profile))
        if reply.length not in (None, header.bytes):
            raise WeightInitError(f"the reply is {reply.length} bytes long; its tensors end after {header.bytes}")
        if self._first is None:
            self._first = header
            self._left = {member.name: member for member in header.members}
        if {member.name for member in header.members} != set(self._left):
            raise WeightInitError(f"{self._client.url} sends other tensors than it was asked for")
        for part in header.members:
            self._read(part, reply)
        return self._first

    def _read(self, part: Member, reply: _Body) -> None:
        member = self._left[part.name]
        target = self._targets.get(member.name)
        if target is None:
            target = self._targets[member.name] = self._place(member)
        at = self._at.get(member.name, 0)
        if len(target) != member.bytes or part.bytes != member.bytes - at:
            raise WeightInitError(f"{self._client.url} sends {part.bytes} bytes of {member.name}, not {len(target) - at}")
        row = member.bytes // max(member.shape[0], 1) if member.shape else member.bytes
        try:
            while at < member.bytes:
                count = reply.readinto(target[at:at + _PIECE])
                at += count
                self.bytes += count
                if self._received is not None:
                    self._received(count)
        except Unanswered:
            whole = at - at % row
            self._at[member.name] = whole
            if self._received is not None and whole < at:
                self._received(whole - at)
            raise
        digest = self._digests.get(member.name)
        if digest is not None and member.name not in self._request.get("slices", {}) and hashlib.sha256(target).hexdigest() != digest:
            raise DigestError(f"{member.name} has another SHA-256 than {digest}")
        del self._targets[member.name], self._left[member.name]
        self._at.pop(member.name, None)
        if self._done is not None:
            self._done(member)


def rows_of(block: str | None, start: int, end: int) -> str:
    """The slice of a tensor for the rows ``start`` to ``end`` of its block ``block``."""
    first, _, rest = (block or ":").partition(",")
    begin, colon, _ = first.partition(":")
    begun = int(begin or 0)
    if begun < 0 or not colon:
        raise WeightInitError(f"the slice {block!r} cannot be resumed; write it with start and end from the tensor's beginning")
    return f"{begun + start}:{begun + end}" + (f",{rest}" if rest else "")


@contextlib.contextmanager
def _bar(progress: Progress | bool) -> Iterator[Progress | None]:
    """The function that a transfer reports its progress to."""
    if not isinstance(progress, bool):
        yield progress
        return
    try:
        if not progress:
            raise ImportError
        from tqdm import tqdm
    except ImportError:
        yield None
        return
    with tqdm(unit="B", unit_scale=True) as bar:

        def show(at: int, total: int) -> None:
            bar.total = total
            bar.update(at - bar.n)

        yield show


class _Body:
    """The body of a reply, counted. A body that ends early raises `Unanswered`."""

    def __init__(self, reply: Reply, count: Callable[[int], None]) -> None:
        self._reply, self._count, self.length = reply, count, reply.length

    def __enter__(self) -> _Body:
        return self

    def __exit__(self, *_: object) -> None:
        self._reply.__exit__()

    def read(self, count: int) -> bytes:
        data = bytearray(count)
        at = 0
        while at < count:
            at += self.readinto(memoryview(data)[at:])
        return bytes(data)

    def readinto(self, target: memoryview) -> int:
        count = self._reply.readinto(target)
        if count == 0:
            raise Unanswered("the reply breaks off")
        self._count(count)
        return count

    def rest(self) -> bytes:
        """All of the body."""
        data = self._reply.read()
        self._count(len(data))
        return data


def _detail(reply: Reply) -> tuple[str, list[Fault]]:
    """The service's own message about an error, and the faults that it is made of, if it lists them."""
    try:
        data = reply.read(1 << 16)
    except Unanswered:
        return "no explanation", []
    try:
        problem = json.loads(data)
        faults: list[Fault] = [
            (str(error.get("pointer") or error.get("parameter") or ""), str(error["detail"]), list(error.get("allowed", ())))
            for error in problem.get("errors", [])
        ]
        return _explained(faults) or str(problem.get("detail") or problem["title"]), faults
    except (ValueError, KeyError, TypeError, AttributeError):
        return data[:200].decode(errors="replace") or "no explanation", []


def _explained(faults: Sequence[Fault]) -> str:
    return "; ".join((f"{place}: " if place else "") + _with_choices(detail, allowed) for place, detail, allowed in faults)


def _with_choices(detail: str, allowed: Sequence[Any]) -> str:
    """A message with the nearest of the allowed values, which the service sorts by their distance to the wrong one."""
    if not allowed:
        return detail
    more = f" and {len(allowed) - _ALLOWED} more" if len(allowed) > _ALLOWED else ""
    return f"{detail}{' Allowed' if detail.endswith('?') else '; allowed'}: {', '.join(map(str, allowed[:_ALLOWED]))}{more}"


class _LazyState(Mapping[str, "torch.Tensor"]):
    """A state dict whose tensors are fetched when they are read. ``dict(state)`` fetches them all."""

    def __init__(self, client: Client, request: Mapping[str, Any], seed: int) -> None:
        self._client, self._request, self._seed = client, request, seed
        members, ties = client._plan(request, seed)
        self._targets = {member.name: member.name for member in members}
        for name, target in ties.items():
            if target in self._targets:
                self._targets[name] = target
        self._made: dict[str, torch.Tensor] = {}

    def __getitem__(self, name: str) -> torch.Tensor:
        target = self._targets[name]
        if target not in self._made:
            self.fetch([target])
        return self._made[target]

    def fetch(self, targets: Sequence[str]) -> None:
        """Fetches the missing ones of these tensors, in one request."""
        self._made.update(self._client._tensors({**self._request, "include": list(targets)}, self._seed))

    def complete(self) -> dict[str, torch.Tensor]:
        """All tensors, by name."""
        missing = [name for name in dict.fromkeys(self._targets.values()) if name not in self._made]
        if missing:
            self.fetch(missing)
        return dict(self)

    def __repr__(self) -> str:
        of = self._request.get(_NAME) or textwrap.shorten(str(self._request.get("description") or "a request"), 60)
        fetched = sum(target in self._made for target in self._targets.values())
        return f"<state dict of {of}, seed {self._seed}: {len(self)} tensors, {fetched} fetched; dict(state) fetches all>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            "this state dict fetches its tensors when they are read, so it can be neither pickled nor copied: use dict(state), which "
            "fetches all of them, as in torch.save(dict(state), path)"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)


def memory(tensor: torch.Tensor) -> memoryview:
    """The bytes of a contiguous tensor on the CPU."""
    import torch

    if tensor.numel() == 0:
        return memoryview(bytearray())
    bytes_of_it: np.ndarray[Any, Any] = tensor.detach().reshape(-1).view(torch.uint8).numpy()
    return bytes_of_it.data
