"""llama.cpp as an `Explainer`: a command line someone else wrote, its ledger, and what is to be said of it. Build b11669."""

from collections.abc import Sequence
from dataclasses import replace

from llmops.domain.engine import Device, HostDevice
from llmops.domain.explained import Meaning
from llmops.domain.finding import Finding
from llmops.domain.ledger import Confidence, Ledger
from llmops.domain.model import ModelShape
from llmops.engines import llama_cpp_memory
from llmops.engines.llama_cpp_advice import advice as _advice
from llmops.engines.llama_cpp_advice import at_full_load, in_words, request_tokens
from llmops.engines.llama_cpp_arguments import refused
from llmops.engines.llama_cpp_cards import cards_of
from llmops.engines.llama_cpp_meaning import meaning
from llmops.engines.llama_cpp_overrides import follow, leading_experts, moved, parse

__all__ = ["advice", "at_full_load", "in_words", "ledger", "meaning", "request_tokens"]


def advice(meaning: Meaning, *, shape: ModelShape | None, devices: Sequence[Device]) -> tuple[Finding, ...]:
    """Everything to be said of the line on these cards."""
    cards = cards_of(meaning, devices)
    found = [*_advice(meaning, shape=shape, devices=cards.devices), *cards.findings]
    text = meaning.value("--override-tensor")
    if text and parse(text) is None:
        message = f"`-ot {text[:60]}` is not PATTERN=BUFFER,…: the server would not start"
        found.append(refused("EXP003", "--override-tensor", message, "`-ot 'exps=CPU'`, or `--n-cpu-moe N`"))
    return tuple(found)


def ledger(
    meaning: Meaning, *, shape: ModelShape, devices: Sequence[Device], host: HostDevice, reserve_bytes: int
) -> Ledger:
    """The memory of the line on the cards it would use."""
    used = cards_of(meaning, devices).devices
    settings = meaning.settings
    overrides = parse(meaning.value("--override-tensor")) or ()
    found = moved(shape, overrides)
    experts = leading_experts(shape, found) if len(used) < 2 or found else None
    if experts is not None:
        settings, found = replace(settings, cpu_moe_layers=max(experts, settings.cpu_moe_layers)), ()
    made = llama_cpp_memory.ledger(shape=shape, settings=settings, devices=used, host=host, reserve_bytes=reserve_bytes)
    notes = [f"not counted: {one}" for one in meaning.uncounted]
    if overrides and experts is None and settings.use_gpu:
        made = follow(made, found, shape=shape, settings=settings, devices=used)
        notes.append(_override_note(found))
    if not notes:
        return made
    return replace(made, confidence=Confidence.LOW, notes=(*made.notes, *notes))


def _override_note(found: Sequence[tuple[object, str]]) -> str:
    elsewhere = sorted({buffer for _, buffer in found if buffer != "CPU"})
    if elsewhere:
        return f"`-ot` moves tensors to {', '.join(elsewhere)[:60]}, which is not followed: these cards' weights are not right"
    if not found:
        return (
            "`-ot` finds no tensor, but turns pipelining over several cards off: their compute buffers are an estimate"
        )
    return f"`-ot` moves {len(found)} tensors to RAM: weights are counted there, compute buffers are an estimate"
