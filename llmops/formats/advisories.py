"""`advisories.json`: known holes and driver branches, shipped or the host's own."""

import json
import re

from llmops.domain.advisories import Advisories, Advisory
from llmops.domain.engine_matrix import numbers
from llmops.domain.errors import WrongInput
from llmops.domain.finding import Status, Where
from llmops.domain.forms import FormError, KeyPath, key_text, load

PRODUCTS = ("vllm", "llama.cpp", "ollama", "sglang", "tgi", "nvidia-container-toolkit")
HINT = "compare it with the shipped one: `llmops schema advisories`; without the file the shipped rows are used"


def advisories(text: str, *, file: str) -> Advisories:
    """The rows. Raises `WrongInput` with the key: a table of holes that is half understood would say "safe"."""
    try:
        rows = load(Advisories, json.loads(text))
    except FormError as error:
        raise _wrong(error.message, error.path, file) from None
    except (ValueError, RecursionError) as error:
        raise WrongInput(f"not JSON: {str(error)[:120]}", hint=HINT, where=Where(file=file)) from None
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", rows.as_of, re.ASCII):
        raise _wrong(f"expected a day such as 2026-11-09, found `{rows.as_of[:20]}`", ("as_of",), file)
    if not rows.branches or not rows.advisories:
        raise _wrong("no row", ("advisories",) if rows.branches else ("branches",), file)
    for at, row in enumerate(rows.advisories):
        _check_advisory(row, ("advisories", at), file)
    for at, branch in enumerate(rows.branches):
        if branch.fixed is not None and numbers(branch.fixed)[:1] != (branch.branch,):
            found = f"expected a version of {branch.branch}, found `{branch.fixed[:40]}`"
            raise _wrong(found, ("branches", at, "fixed"), file)
    return rows


def _check_advisory(row: Advisory, path: KeyPath, file: str) -> None:
    if row.product not in PRODUCTS:
        raise _wrong(f"unknown product `{row.product[:40]}`: {', '.join(PRODUCTS)}", (*path, "product"), file)
    if row.severity not in (Status.WARN, Status.FAIL):
        raise _wrong("expected `warn` or `fail`", (*path, "severity"), file)
    for name, version in (("first", row.first), ("fixed", row.fixed)):
        if version is not None and not numbers(version):
            raise _wrong(f"not a version: `{version[:40]}`", (*path, name), file)
    if not row.ids or not row.source:
        raise _wrong("a hole has an id and a source", path, file)


def _wrong(message: str, path: KeyPath, file: str) -> WrongInput:
    return WrongInput(message, hint=HINT, where=Where(file=file, key=key_text(path) or None))
