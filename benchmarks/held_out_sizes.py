#!/usr/bin/env python3
"""held_out_sizes.py SIZES.json [--table]: how the ranges of publishers' own recipes hold for models they were not made from.

A range is made from published files' sizes over the rule's: the smallest and the largest ratio of a class, with margin. Judged on
the same files it always holds; so here every model (and then every publisher) is left out once, the ranges are made from the
others, and the files of the one left out are looked up in them. `--table` prints the ranges from all files, which are the ones in
`llmops/sizing/recipe_spans.py`.

  benchmarks/held_out_sizes.py tests/measured/gguf/gguf_sizes.json
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from accuracy import gguf_sizes  # noqa: E402 - from the checkout this file lies in

from llmops.formats.catalogue import models  # noqa: E402
from llmops.sizing.recipe_spans import MARGINS, PREFIXES, Kind, Span, kind_of, made, recipe_of  # noqa: E402
from llmops.sizing.recipes import file_size, label  # noqa: E402


class File(NamedTuple):
    """A published file: its class, its size over the rule's, and half of the last printed digit over its size."""

    publisher: str
    model: str
    recipe: str
    prefix: str
    kind: Kind
    ratio: float
    resolution: float


def files(path: Path) -> list[File]:
    """The files whose publisher has a recipe."""
    known = models(gguf_sizes.CATALOGUE.read_text(encoding="utf-8"))
    found = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        model = None if gguf_sizes.left_out(row) else gguf_sizes.model_of(row, known)
        named = label(str(row["quant"]))
        if model is None or named is None:
            continue
        publisher = str(row.get("repo") or "").partition("/")[0]
        recipe = recipe_of(model, named.base, lifted=named.lifted, publisher=publisher)
        size = file_size(model, str(row["quant"]), repository=row.get("repo"))
        if recipe is None or size is None:
            continue
        prefix = next((one for one in PREFIXES if named.base.startswith(one)), "")
        measured, resolution = gguf_sizes.measured(row)
        found.append(
            File(publisher, model.id, recipe, prefix, kind_of(model), measured / size.by_rule, resolution / measured)
        )
    return found


def ranges(every: Sequence[File]) -> dict[tuple[str, str, Kind | None], Span]:
    """By recipe, file type and kind of model (None: any), where two models at least say so."""
    grouped: dict[tuple[str, str, Kind | None], list[File]] = defaultdict(list)
    for one in every:
        grouped[one.recipe, one.prefix, one.kind].append(one)
        grouped[one.recipe, one.prefix, None].append(one)
    return {
        key: made(key[0], [one.ratio for one in those])
        for key, those in sorted(grouped.items(), key=str)
        if key[2] is None or len({one.model for one in those}) > 1
    }


def looked_up(one: File, table: dict[tuple[str, str, Kind | None], Span]) -> Span | None:
    """The range of a file."""
    return table.get((one.recipe, one.prefix, one.kind)) or table.get((one.recipe, one.prefix, None))


def held_out(every: Sequence[File], by: Callable[[File], str]) -> list[tuple[File, Span | None]]:
    """Each file with the range that is made without its own model or publisher."""
    found: list[tuple[File, Span | None]] = []
    for name in sorted({by(one) for one in every}):
        table = ranges([one for one in every if by(one) != name])
        found += [(one, looked_up(one, table)) for one in every if by(one) == name]
    return found


def line(what: str, pairs: Sequence[tuple[File, Span | None]]) -> str:
    """A row of the table."""
    judged = [(one, span) for one, span in pairs if span is not None]
    if not judged:
        return f"| {what} | {len(pairs)} | {len(pairs)} |  |  |  |"
    inside = sum(
        one.ratio * (1 + one.resolution) >= span.low and one.ratio * (1 - one.resolution) <= span.high
        for one, span in judged
    )
    below = sum(one.ratio * (1 - one.resolution) <= span.high for one, span in judged)
    widths = sorted((span.high - span.low) / span.low for _, span in judged)
    share = f"{100 * inside / len(judged):.1f} % | {100 * below / len(judged):.1f} % | {100 * widths[len(widths) // 2]:.1f} %"
    return f"| {what} | {len(pairs)} | {len(pairs) - len(judged)} | {share} |"


def main() -> int:
    """Read, leave out, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", type=Path)
    parser.add_argument("--table", action="store_true", help="the ranges made from all files, as Python")
    options = parser.parse_args()
    every = files(options.sizes)
    if options.table:
        for (recipe, prefix, kind), span in ranges(every).items():
            name = "None" if kind is None else f"Kind.{kind.name}"
            print(f'    ("{recipe}", "{prefix}", {name}): Span({span.low:.3f}, {span.high:.3f}),')
        return 0
    print("| Files | Number | Without a range | In the range | Not above it | Median width |")
    print("| --- | --- | --- | --- | --- | --- |")
    for what, by in (
        ("without their model", lambda one: one.model),
        ("without their publisher", lambda one: one.publisher),
    ):
        pairs = held_out(every, by)
        for recipe in MARGINS:
            print(line(f"{recipe}, {what}", [pair for pair in pairs if pair[0].recipe == recipe]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
