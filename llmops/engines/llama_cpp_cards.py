"""Which of the cards a llama-server would use: `CUDA_VISIBLE_DEVICES`, `--device`, `-sm none` with `-mg`, `-ts`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from llmops.domain.engine import Device
from llmops.domain.explained import Meaning
from llmops.domain.finding import Finding
from llmops.engines.llama_cpp_arguments import refused, unwise

_NUMBERED = re.compile(r"(?:CUDA|ROCm|Vulkan|SYCL)([0-9]{1,3})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """The cards the ledger is for, in the engine's order, and what was found on the way."""

    devices: tuple[Device, ...]
    findings: tuple[Finding, ...] = ()


def cards_of(meaning: Meaning, devices: Sequence[Device]) -> Cards:
    """The cards of the host that take part."""
    findings: list[Finding] = []
    seen = visible(meaning.environment.get("CUDA_VISIBLE_DEVICES"), tuple(devices), findings)
    seen = _named(meaning, seen, findings)
    settings = meaning.settings
    if settings.split_mode == "none" and seen:
        return Cards(devices=_main(meaning, seen, findings), findings=tuple(findings))
    shares = len(settings.tensor_split)
    if shares and settings.split_mode == "layer" and shares < len(seen):
        message = (
            f"`-ts` has {shares} parts for {len(seen)} cards: the others take no layer and are left out here, "
            "but each holds a CUDA context while they are visible"
        )
        fix = f"`CUDA_VISIBLE_DEVICES={','.join(str(at) for at in range(shares))}` hides them"
        findings.append(unwise("EXP047", "-ts", message, fix))
        seen = seen[:shares]
    elif shares > len(seen) and seen:
        message = f"`-ts` has {shares} parts for {len(seen)} cards: the last ones count for nothing"
        findings.append(unwise("EXP047", "-ts", message, f"{len(seen)} parts"))
    return Cards(devices=seen, findings=tuple(findings))


def visible(text: str | None, devices: tuple[Device, ...], findings: list[Finding]) -> tuple[Device, ...]:
    """Cards by number (as they were given, or the host's own numbers) or by UUID; the first unknown ends the list, as in CUDA."""
    if text is None or not devices:
        return devices
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
    return tuple(chosen)


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


def _named(meaning: Meaning, devices: tuple[Device, ...], findings: list[Finding]) -> tuple[Device, ...]:
    """`--device CUDA1,CUDA0`: the engine's own numbers, counted over the visible cards."""
    text = meaning.value("--device")
    if not text or text == "none" or not devices:
        return devices
    chosen: list[Device] = []
    for word in text.split(","):
        match = _NUMBERED.fullmatch(word.strip())
        if match is None or int(match[1]) >= len(devices):
            message = f"`--device {word[:40]}` is none of the {len(devices)} cards: the server would not start"
            findings.append(refused("EXP003", "--device", message, "`llama-server --list-devices` names them"))
            return devices
        chosen.append(devices[int(match[1])])
    return tuple(chosen)


def _main(meaning: Meaning, devices: tuple[Device, ...], findings: list[Finding]) -> tuple[Device, ...]:
    """`-sm none`: one card, the first or `-mg`."""
    text = meaning.value("--main-gpu", "0")
    at = int(text) if text.isdigit() and len(text) < 4 else 0
    if at >= len(devices):
        message = f"`-mg {at}`: there are {len(devices)} cards, counted from 0; the server would not start"
        findings.append(refused("EXP003", "--main-gpu", message, f"`-mg {len(devices) - 1}` is the last one"))
        at = 0
    return (devices[at],)
