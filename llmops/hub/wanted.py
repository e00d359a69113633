"""Which files of a repository a pull of MODEL fetches: a model as `select` finds it, one file by its name, or a pattern's.

Pickled weights run code when they are loaded: never fetched unless allowed, and said why.
"""

from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from llmops.domain.errors import WrongInput, WrongUsage
from llmops.domain.file_names import part_names
from llmops.domain.model import ModelFile, ModelRef
from llmops.hub.select import TEXT_FILES, candidates, selected

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
"""What torch and joblib read by unpickling."""

WHY = "pickled weights run code when they are loaded"
WILD = frozenset("*?[")


def wanted(ref: ModelRef, *, selector: str | None, allow_pickle: bool = False) -> ModelRef:
    """`ref` with only the files that are meant. Raises `WrongUsage` with the candidates, `WrongInput` for pickles."""
    if selector is not None and WILD & set(selector):
        return replace(ref, files=_unpickled(_matching(ref, selector), allow_pickle=allow_pickle))
    named = _called(ref, selector)
    if named:
        return replace(ref, files=_unpickled(named, allow_pickle=allow_pickle))
    if selector is None and allow_pickle and _has_pickles_only(ref):
        return replace(ref, files=_pickled_files(ref))
    return selected(ref, selector=selector)


def is_pickle(name: str) -> bool:
    """Whether a file's name says that loading it runs code of its author."""
    return name.lower().endswith(PICKLES)


def refuse_pickles(files: Iterable[ModelFile], *, allow_pickle: bool) -> None:
    """Raises `WrongInput` for the first pickle that is not allowed; a lock may name one, too."""
    found = next((one.name for one in files if is_pickle(one.name)), None)
    if found is not None and not allow_pickle:
        hint = "a repository with safetensors or GGUF files is safe; `--allow-pickle` if you trust its author"
        raise WrongInput(f"`{found}` is refused: {WHY}", hint=hint)


def _called(ref: ModelRef, selector: str | None) -> tuple[ModelFile, ...]:
    """A file that is called exactly so, with all parts of its split; the whole name goes before the last part of one."""
    for spelled in (
        lambda one: one.name == selector,
        lambda one: PurePosixPath(one.name).name == selector,
    ):
        found = [one for one in ref.files if spelled(one)]
        if len(found) > 1:
            names = ", ".join(f"`{one.name}`" for one in found)
            raise WrongUsage(f"`{selector}` stands for several files of `{ref.source}`", hint=f"name one: {names}")
        if found:
            by_name = {one.name: one for one in ref.files}
            parts = part_names(found[0].name)
            missing = [one for one in parts if one not in by_name]
            if missing:
                raise WrongInput(f"`{found[0].name}` is one of {len(parts)} parts: `{missing[0]}` is not there")
            return tuple(by_name[one] for one in parts)
    return ()


def _matching(ref: ModelRef, pattern: str) -> tuple[ModelFile, ...]:
    """By the whole name, or by its last part where the pattern has no folder; upper and lower case differ."""
    found = tuple(
        one
        for one in ref.files
        if fnmatchcase(one.name, pattern) or ("/" not in pattern and fnmatchcase(PurePosixPath(one.name).name, pattern))
    )
    if not found:
        models = ", ".join(candidates(ref)) or "no GGUF model"
        raise WrongUsage(
            f"no file of `{ref.repository or ref.source}` is called like `{pattern}`", hint=f"there are {models}"
        )
    names = {one.name for one in found}
    for one in found:
        missing = [part for part in part_names(one.name) if part not in names]
        if missing:
            raise WrongUsage(
                f"`{pattern}` matches `{one.name}`, not its other part `{missing[0]}`", hint="a wider pattern"
            )
    return found


def _unpickled(files: tuple[ModelFile, ...], *, allow_pickle: bool) -> tuple[ModelFile, ...]:
    refuse_pickles(files, allow_pickle=allow_pickle)
    return files


def _has_pickles_only(ref: ModelRef) -> bool:
    return not any(one.name.lower().endswith((".gguf", ".safetensors")) for one in ref.files)


def _pickled_files(ref: ModelRef) -> tuple[ModelFile, ...]:
    """A checkpoint of transformers before safetensors: configuration first, weights of the top folder, tokenizer."""
    weights = tuple(
        one for one in ref.files if is_pickle(one.name) and "/" not in one.name and "training" not in one.name
    )
    texts = [one for one in ref.files if one.name in (*TEXT_FILES, "pytorch_model.bin.index.json")]
    if not weights or all(one.name != "config.json" for one in texts):
        raise WrongInput(f"`{ref.source}` holds no model that can be served, pickled or not")
    texts.sort(key=lambda one: one.name != "config.json")
    return (texts[0], *weights, *texts[1:])
