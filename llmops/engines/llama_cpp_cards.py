"""Which of the cards a llama-server would use: `CUDA_VISIBLE_DEVICES`, `--device`, `-sm none` with `-mg`, `-ts`."""

import re
from collections.abc import Sequence

from llmops.domain.engine import Device
from llmops.domain.explained import Meaning
from llmops.domain.finding import Finding
from llmops.domain.records import dataclass
from llmops.engines.llama_cpp_arguments import refused, unwise, whole_number

_NUMBERED = re.compile(r"(?:CUDA|ROCm|Vulkan|SYCL|MTL)([0-9]{1,3})", re.ASCII | re.IGNORECASE)
_BUFFERS = re.compile(r"=CUDA([0-9]{1,3})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """The cards the ledger is for, in the engine's order, by its names (`CUDA1`), and what was found on the way.

    The first `model` of them take the model; `draft` are the positions of those that `--spec-draft-device` names, None: no list.
    """

    devices: tuple[Device, ...]
    model: int
    draft: tuple[int, ...] | None = None
    names: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def cards_of(meaning: Meaning, devices: Sequence[Device]) -> Cards:
    """The cards of the host that take part."""
    findings: list[Finding] = []
    seen = visible(meaning.environment.get("CUDA_VISIBLE_DEVICES"), tuple(devices), findings)
    numbers = _named(meaning, seen, findings)
    settings = meaning.settings
    if settings.split_mode == "none" and numbers:
        numbers = _main(meaning, numbers, findings)
    shares = len(settings.tensor_split)
    is_rising = all(part >= 0 for part in settings.tensor_split)  # else the cards without a part may get layers, too
    if shares and is_rising and settings.split_mode == "layer" and shares < len(numbers):
        message = (
            f"`-ts` has {shares} parts for {len(numbers)} cards: the others take no layer and are left out here, "
            "but each holds a CUDA context while they are visible"
        )
        fix = f"`CUDA_VISIBLE_DEVICES={','.join(str(at) for at in range(shares))}` hides them"
        findings.append(unwise("EXP047", "-ts", message, fix))
        named = [
            int(number)
            for number in _BUFFERS.findall(
                ",".join(one.value for one in meaning.written if one.name == "--override-tensor")
            )
        ]
        furthest = max((numbers.index(one) for one in named if one in numbers), default=0)
        numbers = numbers[: max(shares, 2, furthest + 1)]  # a second card, though empty, makes the server pipeline
    elif shares > len(numbers) and numbers and settings.split_mode == "layer":
        message = f"`-ts` has {shares} parts for {len(numbers)} cards: the last ones count for nothing"
        findings.append(unwise("EXP047", "-ts", message, f"{len(numbers)} parts"))
    own = numbers if settings.use_gpu else ()
    draft = _draft_numbers(meaning, seen, findings)
    everyone = numbers if draft is None else (*own, *(at for at in draft if at not in own))
    return Cards(
        devices=tuple(seen[at] for at in everyone),
        model=len(numbers) if draft is None else len(own),
        draft=None if draft is None else tuple(everyone.index(at) for at in draft),
        names=tuple(f"CUDA{at}" for at in everyone),
        findings=tuple(findings),
    )


def _draft_numbers(meaning: Meaning, devices: tuple[Device, ...], findings: list[Finding]) -> tuple[int, ...] | None:
    """`--spec-draft-device CUDA1`: cards of the draft model's own; `-sm none` leaves it one of them."""
    text, settings = meaning.value("--spec-draft-device"), meaning.settings
    drafting = settings.speculation
    if not text or text == "none" or not devices or drafting is None:
        return None
    numbers = _listed(text, "--spec-draft-device", devices, findings)
    return None if numbers is None else _main(meaning, numbers, []) if settings.split_mode == "none" else numbers


def visible(text: str | None, devices: tuple[Device, ...], findings: list[Finding]) -> tuple[Device, ...]:
    """Cards by number (as they were given, or the host's own numbers) or by UUID; the first unknown ends the list, as in CUDA."""
    if text is None or not devices:
        return _enumerated(devices, findings)
    named = [part.strip() for part in text.split(",")]
    if all(part.startswith("GPU-") for part in named) and all(one.uuid is None for one in devices):
        return devices[: len(named)]  # cards that were named to plan for have no UUID: so many of them
    chosen: list[Device] = []
    for word in named:
        card = _card(word, devices)
        if card is None:
            if word not in ("", "-1", "none"):
                message = (
                    f"`CUDA_VISIBLE_DEVICES` names `{word[:48]}`, none of the {len(devices)} cards: the list ends there"
                )
                findings.append(unwise("EXP047", "CUDA_VISIBLE_DEVICES", message, "name cards that are here"))
            break
        if card not in chosen or card.index is None:
            chosen.append(card)
    return _enumerated(tuple(chosen), findings)


def _enumerated(devices: tuple[Device, ...], findings: list[Finding]) -> tuple[Device, ...]:
    """What CUDA shows of these to a process: one MIG instance, the first (NVIDIA MIG user guide, CUDA device enumeration)."""
    if len(devices) < 2 or all(one.instance is None for one in devices):
        return devices
    first = devices[0]
    shown = (first,) if first.instance is not None else tuple(one for one in devices if one.instance is None)
    message = f"of {len(devices)} cards and MIG instances a process sees {len(shown)}: {shown[0].name}"
    fix = f"name the one that is meant: `CUDA_VISIBLE_DEVICES={first.uuid or 'MIG-…'}`"
    findings.append(unwise("EXP047", "CUDA_VISIBLE_DEVICES", message, fix))
    return shown


def _card(word: str, devices: tuple[Device, ...]) -> Device | None:
    by_uuid = [one for one in devices if word and one.uuid is not None and one.uuid.startswith(word)]
    if by_uuid and not word.isdigit():
        return by_uuid[0]
    if not word.isdigit() or len(word) > 4:
        return None
    by_index = [one for one in devices if one.index == int(word)]
    if by_index:
        return by_index[0]
    known = any(one.index is not None for one in devices)
    return devices[int(word)] if not known and int(word) < len(devices) else None


def _named(meaning: Meaning, devices: tuple[Device, ...], findings: list[Finding]) -> tuple[int, ...]:
    """`--device CUDA1,CUDA0`: the engine's own numbers, counted over the visible cards."""
    text = meaning.value("--device")
    everyone = tuple(range(len(devices)))
    if not text or text == "none" or not devices:
        return everyone
    chosen = _listed(text, "--device", devices, findings)
    return everyone if chosen is None else chosen


def _listed(text: str, option: str, devices: tuple[Device, ...], findings: list[Finding]) -> tuple[int, ...] | None:
    """The numbers of a list of cards; None where the server would refuse it."""
    chosen: list[int] = []
    for word in text.split(","):
        match = _NUMBERED.fullmatch(word.strip())
        if match is None or int(match[1]) >= len(devices):
            message = f"`{option} {word[:40]}` is none of the {len(devices)} cards: the server would not start"
            findings.append(refused("EXP003", option, message, "`llama-server --list-devices` names them"))
            return None
        if int(match[1]) in chosen:
            message = f"`{option}` names {word.strip()[:40]} twice: it is counted once here"
            findings.append(unwise("EXP047", option, message, "name each card once"))
            continue
        chosen.append(int(match[1]))
    return tuple(chosen)


def _main(meaning: Meaning, numbers: tuple[int, ...], findings: list[Finding]) -> tuple[int, ...]:
    """`-sm none`: one card, the first or `-mg`; below zero no card at all."""
    read = whole_number(meaning.value("--main-gpu", "0"))
    at = 0 if read is None else read[0]
    if at < 0:
        return ()
    if at >= len(numbers):
        message = f"`-mg {at}`: there are {len(numbers)} cards, counted from 0; the server would not start"
        findings.append(refused("EXP003", "--main-gpu", message, f"`-mg {len(numbers) - 1}` is the last one"))
        at = 0
    return (numbers[at],)
