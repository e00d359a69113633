"""`gguf_sizes*`: sizes of published GGUF files, a list of rows; worked out from the catalogue's shape, no file is read.

A row names a model, a quantization and mostly a repository, which says who published it. Logs print the tensors alone, file
lists the whole file. Publishers with recipes of their own get a range: its upper end and its width are figures of their own.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accuracy.cases import Figure, Refusal, Report, Row
from llmops.domain.catalogue import ModelRow
from llmops.domain.errors import Stop
from llmops.domain.ledger import Confidence
from llmops.domain.units import GIB, MIB
from llmops.formats.catalogue import find_model, models
from llmops.sizing.recipes import FileSize, file_size

KIND = "gguf_sizes"
CATALOGUE = Path(__file__).resolve().parents[2] / "llmops" / "catalogue" / "models.json"
PROJECTOR, FORK, LOG, LABEL, OTHER = "a projector", "a fork's type", "a pasted log", "a wrong label", "another model"
CUSTOM = "a mix of one person"
RULES = {
    PROJECTOR: "an mmproj goes beside a model",
    FORK: "types that only a fork has (`_R4`, `_KS`, `IQ2_K` …), and names that are no file type: without a rule",
    LOG: "the name is longer than 60 characters: a log was pasted into it",
    LABEL: "the row's own note calls it suspect, or its bits for a parameter differ by more than half from its label's",
    OTHER: "the row says that its parameters are not the catalogue's (an MTP block was kept)",
    CUSTOM: "repositories named after another quantizer (AutoRound) or of people who tune single tensors: a standard label on a "
    "mix of their own",
}
LONGEST_NAME = 60
OWN = frozenset({"bartowski", "unsloth"})
_AROUND = re.compile(
    r"^default-|^opensourcerelease_|^THUDM_|^Models$|[-_ ]?gguf2?$|\.gguf[0-9]?$|[ -]safetensors$|[ -]bf16$|-Q8_0$",
    re.IGNORECASE,
)
TUNED = {
    "openhermes-2.5-mistral-7b": "mistral-7b-instruct-v0.2",
    "Hermes-2-Pro-Mistral-7B": "mistral-7b-instruct-v0.2",
    "em_german_mistral_v01": "mistral-7b-instruct-v0.2",
    "mistral-7b-openorca.gguf2": "mistral-7b-instruct-v0.2",
    "orca-2-7b": "llama-2-7b-chat",
    "llama 7B Q4_0": "llama-2-7b-chat",
    "nexusraven-v2-13b": "llama-2-13b-chat",
    "gpt4all-13b-snoozy": "llama-2-13b-chat",
    "deepseek2 671B Q4_K - Medium": "deepseek-r1",
    "DeepSeek-R1-11446": "deepseek-r1",
    "Gemma 3 27b It Qat": "gemma-3-27b-it",
    "Phi-3.1-mini-4k-instruct": "phi-3-mini-4k-instruct",
    "Qwen3.5-0.8B": "qwen3.5-0.8b",
    "Qwen3.5-2B": "qwen3.5-2b",
}
"""Models tuned from one of the catalogue, and names of a file's own header: the same shape, a few rows of vocabulary apart."""

_TUNERS = re.compile(r"autoround|^0xsero/|^sphaela/", re.IGNORECASE)


def is_kind(rows: Sequence[Any]) -> bool:
    """Whether these are rows of this kind."""
    return all(isinstance(one, dict) and "quant" in one and ("bytes" in one or "gib" in one) for one in rows)


def report(file: str, rows: Sequence[Mapping[str, Any]]) -> Report:
    """Every row of a file."""
    known = models(CATALOGUE.read_text(encoding="utf-8"))
    return Report(file=file, kind=KIND, rows=[_row(at, row, known) for at, row in enumerate(rows)], rules=RULES)


def _row(at: int, row: Mapping[str, Any], known: Sequence[ModelRow]) -> Row:
    name = str(row.get("id", at))
    why = left_out(row)
    if why is not None:
        return Row(id=name, left_out=why)
    model = model_of(row, known)
    if model is None:
        return Row(id=name, refused=Refusal.UNKNOWN_MODEL)
    found = file_size(model, str(row["quant"]), repository=row.get("repo"))
    if found is None:
        return Row(id=name, left_out=FORK)
    size, resolution = measured(row)
    if _is_mislabelled(found, size):
        return Row(id=name, left_out=LABEL)
    return Row(id=name, figures=_figures(row, found, size, resolution))


def left_out(row: Mapping[str, Any]) -> str | None:
    """Why a row is not compared; None: it is."""
    if row.get("kind") == "mmproj":
        return PROJECTOR
    if len(str(row.get("model", ""))) > LONGEST_NAME:
        return LOG
    if "SUSPECT" in str(row.get("note", "")):
        return LABEL
    if row.get("flag"):
        return OTHER
    return CUSTOM if _TUNERS.search(str(row.get("repo") or "")) else None


def model_of(row: Mapping[str, Any], known: Sequence[ModelRow]) -> ModelRow | None:
    """The catalogue's row: by its id, by the name that was logged, by the repository's, or the model it was tuned from."""
    repository = str(row.get("repo") or "").partition("/")[2]
    logged = str(row.get("model") or "")
    for name in (row.get("model_id"), logged, TUNED.get(logged), *_cleaned(logged), *_cleaned(repository)):
        try:
            found = find_model(known, str(name)) if name else None
        except Stop:  # a name of several models
            continue
        if found is not None:
            return found
    return None


def _cleaned(name: str) -> tuple[str, ...]:
    """Without what converters and uploaders put around a name."""
    short = _AROUND.sub("", name).strip()
    return (short, _AROUND.sub("", short).strip().replace(" ", "-")) if short != name else ()


def _is_mislabelled(found: FileSize, measured: float) -> bool:
    return found.confidence is Confidence.CALIBRATED and not 2 / 3 < measured / found.by_rule < 3 / 2


def _figures(row: Mapping[str, Any], found: FileSize, measured: float, resolution: float) -> tuple[Figure, ...]:
    publisher = str(row.get("repo") or "").partition("/")[0]
    tensors_only = "bytes" not in row and not row.get("repo") and "card" not in str(row.get("precision"))
    value = found.weights_bytes if tensors_only else found.value
    what = "tensors" if tensors_only else "file"
    dynamic = str(row["quant"]).upper().startswith("UD-") or str(row["quant"]).upper().endswith("_XL")
    if publisher not in OWN and not dynamic:
        return (_figure(f"{what}, by the rules", value, measured, resolution),)
    group = "own names" if dynamic or str(row["quant"]).upper().endswith("_K_L") else "standard names"
    return (
        _figure(f"file, recipes under {group}", value, measured, resolution),
        _figure(f"upper end of the range, {group}", found.high, measured, resolution),
        _figure(f"width of the range, {group}", found.high, found.low, 0.0),
    )


def _figure(quantity: str, predicted: int, measured: float, resolution: float) -> Figure:
    return Figure(quantity=quantity, place="file", predicted=predicted, measured=measured, resolution=resolution)


def measured(row: Mapping[str, Any]) -> tuple[float, float]:
    """Bytes, and half of what the last printed digit stands for."""
    if "bytes" in row:
        return float(row["bytes"]), 0.0
    size = float(row["gib"]) * GIB
    precision = str(row.get("precision", ""))
    if precision.startswith("1 decimal"):
        return size, 0.05 * (GIB if size >= GIB else MIB)
    if precision.startswith("3 decimals"):
        return size, 0.0005 * GIB
    if precision.startswith("2-3 digits"):
        return size, 0.005 * (GIB if size < 100 * GIB else 100 * GIB)
    return size, 0.005 * GIB
