"""How experts are chosen, as the keys of a file have it."""

from random import Random

from llama_cpp_draft import Draft, Numbers


def routing_keys(d: Draft) -> None:
    """How experts are chosen: by `gate`, normed, scaled, from the best of `xgroups`."""
    d.key("expert_gating_func", int(d.numbers.get("gate", 2)))
    d.key("expert_weights_scale", 2.5 if d.numbers.get("wscale") else 1.0)
    d.key("expert_weights_norm", bool(d.numbers.get("wnorm")))
    if d.numbers.get("xgroups"):
        d.key("expert_group_count", d["xgroups"])
        d.key("expert_group_used_count", max(d["xgroups"] // 2, 1))


def routing(rng: Random, numbers: Numbers) -> Numbers:
    count = int(numbers["X"])
    groups = rng.choice([0, 0, 0, *(one for one in (2, 4, 8) if count % one == 0 and count // one > 1)])
    return numbers | {
        "gate": rng.choice((1, 2)),
        "wnorm": rng.randint(0, 1),
        "wscale": rng.randint(0, 1),
        "xgroups": groups,
    }
