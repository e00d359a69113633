"""Which values llama-server's parser takes of the options that take no part in the memory: what else is given ends the start.

Every option of b11669 was asked with nineteen values each, from `-2` to words and nothing at all; source of the limits:
common/arg.cpp. Of a decimal, as of a whole number, only the beginning is read (`std::stof`).
"""

import json
import re
from collections.abc import Mapping

from llmops.domain.records import dataclass
from llmops.engines.llama_cpp_arguments import FALSE, TRUE, whole_number

NGRAM_LIMIT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The whole numbers an option takes; `but` is one within that it does not."""

    least: int
    most: int | None = None
    but: int | None = None

    def takes(self, number: int) -> bool:
        """Whether the server would start with it."""
        return number >= self.least and (self.most is None or number <= self.most) and number != self.but

    def said(self) -> str:
        """`at least 0`, `-1 to 3`."""
        within = f"at least {self.least}" if self.most is None else f"{self.least} to {self.most}"
        return within if self.but is None else f"{within}, not {self.but}"


_FROM_ZERO, _PRIORITY, _NGRAM = Limits(least=0), Limits(least=0, most=3), Limits(least=1, most=NGRAM_LIMIT)
LIMITS: Mapping[str, Limits] = {
    **dict.fromkeys(
        (
            "--checkpoint-min-step", "--dry-penalty-last-n", "--moe-cache-mib", "--n-cpu-ffn", "--repeat-last-n",
            "--spec-draft-n-cpu-moe", "--spec-draft-n-max", "--spec-draft-n-ubatch",
        ),
        _FROM_ZERO,
    ),
    "--prio": Limits(least=-1, most=3),
    **dict.fromkeys(("--prio-batch", "--spec-draft-prio", "--spec-draft-prio-batch"), _PRIORITY),
    "--reasoning-budget": Limits(least=-1),
    "--sleep-idle-seconds": Limits(least=-1, but=0),
    **{
        f"--spec-ngram-{kind}-{name}": limits
        for kind in ("simple", "map-k", "map-k4v")
        for name, limits in (("size-n", _NGRAM), ("size-m", _NGRAM), ("min-hits", Limits(least=1)))
    },
    "--spec-ngram-mod-n-match": _NGRAM,
    **dict.fromkeys(("--spec-ngram-mod-n-max", "--spec-ngram-mod-n-min"), Limits(least=0, most=NGRAM_LIMIT)),
}  # fmt: skip

DECIMALS = frozenset(
    {
        "--adaptive-decay", "--adaptive-target", "--cpu-strict", "--dry-base", "--dry-multiplier", "--dynatemp-exp",
        "--dynatemp-range", "--frequency-penalty", "--min-p", "--mirostat-ent", "--mirostat-lr", "--poll",
        "--presence-penalty", "--repeat-penalty", "--rope-freq-base", "--rope-freq-scale", "--rope-scale", "--seed",
        "--slot-prompt-similarity", "--spec-draft-p-min", "--spec-draft-p-split", "--spec-synth-len", "--temp",
        "--top-nsigma", "--top-p", "--typical", "--video-fps", "--xtc-probability", "--xtc-threshold",
        "--yarn-attn-factor", "--yarn-beta-fast", "--yarn-beta-slow", "--yarn-ext-factor",
    }
)  # fmt: skip
"""Read by `std::stof` or its kin, which throw where no number begins."""

_SWITCH = (*TRUE, *FALSE)
_THREE = (*_SWITCH, "auto", "-1")
CHOICES: Mapping[str, tuple[str, ...]] = {
    "--fit": _SWITCH,
    "--lazy-mode": ("on", "off", "auto"),
    "--log-colors": _THREE,
    "--numa": ("distribute", "isolate", "numactl"),
    "--reasoning": _THREE,
    "--reasoning-format": ("none", "auto", "deepseek", "deepseek-legacy"),
    "--rope-scaling": ("none", "linear", "yarn"),
    "--spec-draft-sampling": ("greedy", "probabilistic"),
    **dict.fromkeys(
        ("--spec-draft-type-k", "--spec-draft-type-v"),
        ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"),
    ),
}
SPECULATIONS = (
    "none", "draft-simple", "draft-eagle3", "draft-mtp", "draft-dflash", "draft-dspark", "ngram-simple", "ngram-map-k",
    "ngram-map-k4v", "ngram-mod", "ngram-cache",
)  # fmt: skip

_DECIMAL = re.compile(r"[ \t\n\v\f\r]*[+-]?(?:[0-9]|\.[0-9]|inf|nan)", re.ASCII | re.IGNORECASE)
_PLAIN = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)", re.ASCII)
_MASK = re.compile(r"(?:0x)?[0-9a-f]+", re.ASCII | re.IGNORECASE)
_RANGE = re.compile(r"-?[0-9]*-[0-9]*", re.ASCII)
_PATTERNS: Mapping[str, tuple[re.Pattern[str], str]] = {
    **dict.fromkeys(
        ("--cpu-mask", "--cpu-mask-batch", "--spec-draft-cpu-mask", "--spec-draft-cpu-mask-batch"),
        (_MASK, "a mask in hexadecimal digits"),
    ),
    **dict.fromkeys(("--cpu-range", "--cpu-range-batch", "--spec-draft-cpu-range"), (_RANGE, "a range such as 0-7")),
    **dict.fromkeys(sorted(DECIMALS), (_DECIMAL, "a number")),
}


def what_is_taken(name: str, value: str) -> str | None:
    """What an option takes where it does not take `value`: `at least 0`, `one of on, off, auto`; None where it does."""
    if name in LIMITS:
        number = whole_number(value)
        return None if number is None or LIMITS[name].takes(number[0]) else LIMITS[name].said()
    if name in CHOICES:
        return None if value in CHOICES[name] else f"one of {', '.join(CHOICES[name])}"
    if name == "--spec-type":
        return None if set(value.split(",")) <= set(SPECULATIONS) else f"some of {', '.join(SPECULATIONS)}"
    if name == "--chat-template-kwargs":
        return None if _is_json(value) else "an object in JSON"
    pattern, wanted = _PATTERNS.get(name, (None, ""))
    taken = pattern is None or (pattern.match(value) if name in DECIMALS else pattern.fullmatch(value)) is not None
    if name == "--repeat-penalty" and taken and (begins := _PLAIN.match(value)) and float(begins[0]) <= 0:
        return "a number above zero"
    return None if taken else wanted


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
