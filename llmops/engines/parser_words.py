"""Tool-call and reasoning parsers of a model on the command line of vLLM and SGLang, and what is said where they lack.

vLLM 0.33: without `--enable-auto-tool-choice` and `--tool-call-parser` a request with `tools` and `tool_choice: auto` is refused
(entrypoints/openai/chat_completion/serving.py); without `--reasoning-parser` thoughts stand inside the answer. SGLang: the same
words without the switch. Names come from the chat template or the model's type (`formats/parser_hints.py`).
"""

from collections.abc import Iterator

from llmops.domain.engine import EngineName
from llmops.domain.explained import Meaning
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.model import ModelShape, ParserHints

PLUGINS = frozenset({"nemotron_json"})
"""Parsers that come with a model as a file of Python: not among the engine's own."""


def parser_words(
    engine: EngineName, shape: ModelShape, *, tools: bool | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words to add to a command line, and sentences that say why. `tools` None: where the model can call any."""
    if engine not in (EngineName.VLLM, EngineName.SGLANG) or not shape.has_chat_template:
        return (), ()
    named, thoughts = _named(engine, shape.parsers or ParserHints())
    words: list[str] = []
    why: list[str] = []
    if tools is not False and named is not None and named not in PLUGINS:
        words += ["--enable-auto-tool-choice"] if engine is EngineName.VLLM else []
        words += ["--tool-call-parser", named]
        asked = "as the profile asks" if tools else "`features.tools: false` leaves it out"
        why.append(f"tool calls are read by the parser `{named}` ({asked})")
    elif tools:
        lack = f"`{named}` is a plugin that comes with the model" if named else "no parser is known for this model"
        why.append(f"the profile asks for tools, but {lack}: requests with `tools` are refused")
    if thoughts is not None:
        words += ["--reasoning-parser", thoughts]
        why.append(f"reasoning is told apart from the answer by the parser `{thoughts}`")
    return tuple(words), tuple(why)


def parser_advice(meaning: Meaning, shape: ModelShape | None, *, file: str) -> Iterator[Finding]:
    """A model that can call tools or thinks, served without the parser for it."""
    if shape is None or shape.parsers is None or meaning.engine not in (EngineName.VLLM, EngineName.SGLANG):
        return
    named, thoughts = _named(meaning.engine, shape.parsers)
    switch = "--enable-auto-tool-choice " if meaning.engine is EngineName.VLLM else ""
    is_off = bool(switch) and not meaning.gives("--enable-auto-tool-choice")
    if named is not None and (is_off or not meaning.gives("--tool-call-parser")):
        message = (
            "the model can call tools, and no parser is given: requests with `tools` are refused or come back as text"
        )
        yield _finding("--tool-call-parser", message, f"`{switch}--tool-call-parser {named}`", file)
    if thoughts is not None and not meaning.gives("--reasoning-parser"):
        message = "the model thinks aloud, and no parser is given: its thoughts stand inside the answer"
        yield _finding("--reasoning-parser", message, f"`--reasoning-parser {thoughts}`", file)


def _finding(word: str, message: str, fix: str, file: str) -> Finding:
    return Finding(code="EXP074", status=Status.WARN, message=message, fix=fix, where=Where(file=file, key=word))


def _named(engine: EngineName, hints: ParserHints) -> tuple[str | None, str | None]:
    if engine is EngineName.VLLM:
        return hints.vllm_tools, hints.vllm_reasoning
    return hints.sglang_tools, hints.sglang_reasoning
