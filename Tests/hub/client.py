"""Checks that check_hub.py runs with HF_ENDPOINT and an empty HF_HOME."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import sysconfig
import tempfile
import urllib.request
import warnings
from typing import Any

#: The service itself, even if HF_ENDPOINT is a proxy in front of it.
SERVICE = os.environ["SERVICE"]
TINY = "random/llama-tiny"


def fetched(path: str) -> bytes:
    with urllib.request.urlopen(SERVICE + path) as reply:
        return reply.read()


def raises(kind: type[BaseException], call: Any, *arguments: Any, **members: Any) -> BaseException:
    try:
        call(*arguments, **members)
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def files() -> None:
    """Checks that need no torch."""
    from huggingface_hub import HfApi, HfFileSystem, hf_hub_download, snapshot_download
    from huggingface_hub.utils import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    api = HfApi()
    names = api.list_repo_files(TINY)
    assert names == ["config.json", "init.json", "model.safetensors"], names
    information = api.model_info(TINY, revision="seed-42", files_metadata=True)
    assert information.id == TINY and len(information.sha) == 40 and not information.private
    assert api.repo_exists(TINY) and not api.repo_exists("random/nothing")
    assert api.revision_exists(TINY, "seed-42") and not api.revision_exists(TINY, "v1.0")
    assert api.file_exists(TINY, "config.json") and not api.file_exists(TINY, "vocab.json")
    for entry in api.list_repo_tree(TINY, revision="seed-42", recursive=True):
        assert entry.size == len(fetched(f"/{TINY}/resolve/seed-42/{entry.path}")), entry

    # One file, by revision and by its commit.
    path = pathlib.Path(hf_hub_download(TINY, "model.safetensors", revision="seed-42"))
    assert path.read_bytes() == fetched(f"/models/{TINY}?seed=42&format=safetensors")
    assert path.parent.name == information.sha
    again = hf_hub_download(TINY, "model.safetensors", revision=information.sha)
    assert pathlib.Path(again) == path
    assert hf_hub_download(TINY, "model.safetensors", revision=information.sha, local_files_only=True) == again
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    metadata = get_hf_file_metadata(hf_hub_url(TINY, "config.json", revision="seed-42"))
    assert metadata.commit_hash == information.sha and metadata.size == len(fetched(f"/{TINY}/resolve/main/config.json"))

    # All files. A file that is not JSON is served unchanged.
    folder = pathlib.Path(snapshot_download("acme/own", revision="seed--1"))
    assert sorted(entry.name for entry in folder.iterdir()) == ["init.json", "model.safetensors", "tokenizer.model"]
    assert (folder / "tokenizer.model").read_bytes() == bytes(range(256)) * 5000
    assert (folder / "model.safetensors").read_bytes() == fetched(
        f"/models/acme/own?seed={2**64 - 1}&format=safetensors")
    assert snapshot_download("acme/own", revision="seed--1", local_files_only=True) == str(folder)

    # The same with the command `hf`.
    with tempfile.TemporaryDirectory() as target:
        command = pathlib.Path(sysconfig.get_path("scripts"), "hf")
        subprocess.run(
            [command, "download", TINY, "--revision", "seed-3", "--local-dir", target], check=True, stdout=subprocess.DEVNULL
        )
        assert pathlib.Path(target, "model.safetensors").read_bytes() == fetched(f"/{TINY}/resolve/seed-3/model.safetensors")
        assert pathlib.Path(target, "config.json").read_bytes() == fetched(f"/{TINY}/resolve/main/config.json")

    # The same through fsspec.
    system = HfFileSystem()
    assert sorted(pathlib.PurePosixPath(name).name for name in system.ls(f"{TINY}@seed-42", detail=False)) == names
    with system.open(f"{TINY}@seed-42/config.json") as file:
        assert json.load(file)["model_type"] == "llama"

    raises(RepositoryNotFoundError, hf_hub_download, "random/nothing", "config.json")
    raises(RevisionNotFoundError, hf_hub_download, TINY, "config.json", revision="v1.0")
    raises(RevisionNotFoundError, snapshot_download, TINY, revision="refs/pr/1")
    raises(EntryNotFoundError, hf_hub_download, TINY, "vocab.json")
    raises(EntryNotFoundError, hf_hub_download, TINY, "vocab.json", subfolder="sub")


def resumed() -> None:
    """The proxy breaks the download once. Newer clients resume by themselves, older ones when they are called again."""
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download("acme/own", "model.safetensors", revision="seed-5")
    except OSError as error:
        assert "broken" in str(error), error
        path = hf_hub_download("acme/own", "model.safetensors", revision="seed-5")
    assert pathlib.Path(path).read_bytes() == fetched("/models/acme/own?seed=5&format=safetensors")


def equal(model: Any, expected: Any) -> None:
    import torch

    made, wanted = dict(model.state_dict()), dict(expected.state_dict())
    assert set(made) == set(wanted), set(made) ^ set(wanted)
    for name, tensor in wanted.items():
        assert made[name].dtype == tensor.dtype and torch.equal(made[name], tensor), name


def constructed(config: Any, seed: int, auto: Any) -> Any:
    import torch

    torch.manual_seed(seed)
    return auto.from_config(config)


def prepare_transformers() -> None:
    """Declares torchvision's operators, because its wheel for CUDA cannot be imported with a CPU build of torch."""
    sys.path.append(str(pathlib.Path(__file__).parents[2] / "clients" / "python" / "models"))
    import catalogue

    catalogue.declare_torchvision_operators()


def loaded(auto: Any, name: str, seed: int) -> None:
    """Loads the model of a revision, whose weights must be those that transformers makes with the seed."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(name, revision=f"seed-{seed}")
    model, notes = auto.from_pretrained(name, revision=f"seed-{seed}", output_loading_info=True)
    assert not any(notes.values()), notes
    equal(model, constructed(config, seed, auto))


def dispatched(name: str, seed: int, folder: str) -> None:
    """accelerate fills a module without memory from the files."""
    from accelerate import init_empty_weights, load_checkpoint_in_model
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(name, revision=f"seed-{seed}")
    with init_empty_weights():
        model = AutoModelForCausalLM.from_config(config)
    model.tie_weights()
    load_checkpoint_in_model(model, folder, device_map={"": "cpu"})
    equal(model, constructed(config, seed, AutoModelForCausalLM))


def whole() -> None:
    prepare_transformers()
    from huggingface_hub import snapshot_download
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSpeechSeq2Seq

    loaded(AutoModelForCausalLM, TINY, 42)
    # Its sinusoids are literals: megabytes of its request.
    loaded(AutoModelForSpeechSeq2Seq, "random/whisper-tiny", 42)
    # The base model alone, from the same file.
    base, notes = AutoModel.from_pretrained(TINY, revision="seed-42", output_loading_info=True)
    assert not notes["missing_keys"] and not notes["mismatched_keys"], notes
    equal(base, AutoModelForCausalLM.from_pretrained(TINY, revision="seed-42").model)
    dispatched(TINY, 7, snapshot_download(TINY, revision="seed-7"))


def shards() -> None:
    prepare_transformers()
    from huggingface_hub import list_repo_files, snapshot_download
    from transformers import AutoModelForCausalLM

    names = list_repo_files(TINY)
    assert "model.safetensors.index.json" in names and "model.safetensors" not in names
    assert sum(name.startswith("model-") for name in names) > 1
    loaded(AutoModelForCausalLM, TINY, 43)
    dispatched(TINY, 8, snapshot_download(TINY, revision="seed-8"))


def token() -> None:
    """Tokens from an argument, the file of `hf auth login` and the command's option; `shards` tests HF_TOKEN."""
    from huggingface_hub import hf_hub_download, list_repo_files
    from huggingface_hub.constants import HF_TOKEN_PATH

    given = os.environ["TOKEN"]
    assert "config.json" in list_repo_files(TINY, token=given)
    with tempfile.TemporaryDirectory() as target:
        command = [pathlib.Path(sysconfig.get_path("scripts"), "hf"), "download", TINY, "config.json", "--local-dir", target]
        assert subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0
        subprocess.run([*command, "--token", given], check=True, stdout=subprocess.DEVNULL)
        assert json.loads(pathlib.Path(target, "config.json").read_bytes())["model_type"] == "llama"
    pathlib.Path(HF_TOKEN_PATH).write_text(given)
    path = pathlib.Path(hf_hub_download(TINY, "model.safetensors.index.json", revision="seed-1"))
    assert "lm_head.weight" in json.loads(path.read_bytes())["weight_map"]


def refused() -> None:
    from huggingface_hub import hf_hub_download, list_repo_files
    from huggingface_hub.errors import HfHubHTTPError

    error = raises(HfHubHTTPError, list_repo_files, TINY)
    assert error.response.status_code == 401
    raises(HfHubHTTPError, hf_hub_download, TINY, "config.json")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    import huggingface_hub

    print(f"client: huggingface_hub {huggingface_hub.__version__}", flush=True)
    globals()[sys.argv[1]]()
