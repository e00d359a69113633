"""Changes of drawn numbers that several families share."""

from random import Random

from llama_cpp_draft import Numbers


def window(rng: Random, numbers: Numbers) -> Numbers:
    return numbers | {"W": rng.choice((128, 512, 1024, 4096))}


def all_heads(numbers: Numbers) -> Numbers:
    return numbers | {"G": numbers["H"]}


def one_width(numbers: Numbers) -> Numbers:
    return numbers | {"F": numbers["Fe"]}


def square(numbers: Numbers) -> Numbers:
    return numbers | {"E": int(numbers["H"]) * int(numbers["D"])}


def maybe_dense(rng: Random, numbers: Numbers) -> Numbers:
    return numbers | ({} if rng.randint(0, 1) else {"X": 0})
