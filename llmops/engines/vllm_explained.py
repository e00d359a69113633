"""vLLM as an `Explainer`, first depth: what `vllm serve` words mean, which of them 0.33 does not take, and the ledger."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from llmops.domain.engine import Device, EngineName, EngineSettings, FlagRow, HostDevice
from llmops.domain.errors import WrongInput
from llmops.domain.explained import HIDDEN, EngineProcess, FlagSource, GivenFlag, Meaning, NamedModel
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.ledger import Ledger
from llmops.domain.model import ModelShape
from llmops.engines import vllm, vllm_memory
from llmops.engines.llama_cpp_advice import is_loopback
from llmops.engines.llama_cpp_cards import visible
from llmops.engines.vllm_flags import FLAGS, LISTS

PROGRAM = "vllm serve"
SECRETS = frozenset({"--api-key", "--hf-token"})
UNCOUNTED = {
    "--enable-lora": "LoRA adapters",
    "--speculative-config": "what speculation needs",
    "--cpu-offload-gb": "weights that are offloaded to RAM",
    "--kv-cache-memory-bytes": "a KV cache of a given size",
    "--num-gpu-blocks-override": "a given number of KV blocks",
    "--pipeline-parallel-size": "pipeline stages",
    "--data-parallel-size": "replicas",
    "--kv-offloading-size": "a KV cache in RAM",
}
TRIES = 40


def meaning(process: EngineProcess) -> Meaning:
    """The words, one after the other; a word vLLM refuses is a finding, and left out of what is read."""
    walk = _Walk(process.argv)
    settings, refusals = _settings(walk.flags)
    uncounted = tuple(text for name, text in UNCOUNTED.items() if any(flag.name == name for flag in walk.flags))
    findings = [*walk.findings, *refusals]
    if uncounted:
        findings.append(_finding("EXP011", Status.SKIP, "", f"not counted: {'; '.join(uncounted)}", None))
    if any(flag.name == "--config" for flag in walk.flags):
        message = "`--config FILE` is not read: what it sets is not counted"
        findings.append(_finding("EXP012", Status.SKIP, "--config", message, "write its options into the command line"))
    return Meaning(
        engine=EngineName.VLLM,
        settings=settings,
        flags=tuple({flag.name: flag for flag in walk.flags}.values()),
        model=_model(walk),
        findings=tuple(findings),
        uncounted=uncounted,
        environment=process.environment,
    )


class _Walk:
    """The options, the words that are none, and what is wrong."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words[1:] if words[:1] == ("serve",) else words)
        self.flags: list[GivenFlag] = []
        self.plain: list[str] = []
        self.findings: list[Finding] = []
        while self.words:
            self._next()

    def _next(self) -> None:
        word, equals, value = self.words.pop(0).partition("=")
        if not word.startswith("-"):
            self.plain.append(word + equals + value)
            return
        row = self._row(word)
        if row is None or row.removed is not None:
            self._refuse(word, row)
            if not equals and self.words and not self.words[0].startswith("-"):
                self.words.pop(0)
            return
        if not row.value:
            off = word in row.negated or (word.startswith("--no-") and row.name != word)
            self._give(row, word, "off" if off else (value or "on"))
        elif equals:
            self._give(row, word, value)
        elif not self.words:
            self.findings.append(_finding("EXP003", Status.FAIL, word, f"`{word}` needs a value", f"`{word} VALUE`"))
        else:
            self._give(row, word, self.words.pop(0))
            while row.name in LISTS and self.words and not self.words[0].startswith("-"):
                self.words.pop(0)

    def _row(self, word: str) -> FlagRow | None:
        name = (word.replace("_", "-") if word.startswith("--") else word).split(".", 1)[0]
        row = FLAGS.get(name)
        if row is None and name.startswith("--no-"):
            positive = FLAGS.get("--" + name.removeprefix("--no-"))
            row = positive if positive is not None and not positive.value else None
        return row

    def _refuse(self, word: str, row: FlagRow | None) -> None:
        if row is not None:
            message = f"vLLM no longer has `{word}` and would not start"
            self.findings.append(_finding("EXP002", Status.FAIL, word, message, row.removed or "leave it out"))
            return
        near = get_close_matches(word, FLAGS, n=1)
        fix = f"did you mean `{near[0]}`?" if near else "`vllm serve --help=all` lists the options"
        message = f"vLLM {vllm_memory.BUILD} does not know `{word[:60]}` and would not start"
        self.findings.append(_finding("EXP001", Status.FAIL, word, message, fix))

    def _give(self, row: FlagRow, word: str, value: str) -> None:
        shown = HIDDEN if row.name in SECRETS else value
        self.flags.append(GivenFlag(name=row.name, value=shown, source=FlagSource.COMMAND_LINE, written=word[:60]))


def _finding(code: str, status: Status, word: str, message: str, fix: str | None) -> Finding:
    where = Where(file=PROGRAM, key=word[:60] or None)
    return Finding(code=code, status=status, message=message, fix=fix, where=where)


def _settings(flags: Sequence[GivenFlag]) -> tuple[EngineSettings, list[Finding]]:
    """The settings of the words vLLM takes; a value it refuses is left at its default."""
    left = {flag.name: flag for flag in flags}
    refusals: list[Finding] = []
    for _ in range(TRIES):
        try:
            switches = [flag.name for flag in left.values() if not FLAGS[flag.name].value and flag.value == "on"]
            values = [word for flag in left.values() if FLAGS[flag.name].value for word in (flag.name, flag.value)]
            return vllm.settings((*switches, *values)), refusals
        except WrongInput as stopped:
            key = stopped.where.key if stopped.where is not None else None
            refusals.append(_finding("EXP003", Status.FAIL, key or "", stopped.message, stopped.hint))
            if key not in left:
                break
            del left[key]
    return vllm.settings(()), refusals


def _model(walk: _Walk) -> NamedModel:
    """The first plain word, else `--model`; what is no path is a repository."""
    option = next((flag.value for flag in walk.flags if flag.name == "--model"), None)
    name = walk.plain[0] if walk.plain else option
    if name is None:
        return NamedModel()
    if name.startswith((".", "/", "~", "{")) or name.count("/") != 1:
        return NamedModel(file=name, word=PROGRAM)
    return NamedModel(file=name, repository=f"hf:{name}", word=PROGRAM)


def ledger(
    meaning: Meaning, *, shape: ModelShape, devices: Sequence[Device], host: HostDevice, reserve_bytes: int
) -> Ledger | None:
    """First depth: every figure is `low`. None without a card, or with fewer than the line asks for."""
    used = visible(meaning.environment.get("CUDA_VISIBLE_DEVICES"), tuple(devices), [])
    if len(used) < meaning.settings.tensor_parallel:
        return None
    return vllm_memory.ledger(
        shape=shape, settings=meaning.settings, devices=used, host=host, reserve_bytes=reserve_bytes
    )


def advice(meaning: Meaning, *, shape: ModelShape | None, devices: Sequence[Device]) -> tuple[Finding, ...]:
    """What is unwise, or would end the start on these cards."""
    found: list[Finding] = []
    used = visible(meaning.environment.get("CUDA_VISIBLE_DEVICES"), tuple(devices), found)
    wanted = meaning.settings.tensor_parallel
    if len(used) < wanted:
        message = f"needs {wanted} card{'s'[: wanted > 1]}, {len(used)} seen: it would not start"
        found.append(
            _finding("EXP050", Status.FAIL, "--tensor-parallel-size", message, "`--gpu` names cards to plan for")
        )
    found += _doors(meaning)
    length = meaning.settings.context_size
    if shape is not None and length > shape.context_length:
        message = (
            f"`--max-model-len {length}` is more than the {shape.context_length} of the model: vLLM refuses to start"
        )
        fix = f"`--max-model-len {shape.context_length}`"
        found.append(_finding("EXP042", Status.FAIL, "--max-model-len", message, fix))
    if not length:
        message = "`--max-model-len` is not given: a request may take the whole trained length, and the start fails without room"
        found.append(_finding("EXP042", Status.WARN, "--max-model-len", message, "`--max-model-len TOKENS`"))
    return tuple(found)


def _doors(meaning: Meaning) -> Iterator[Finding]:
    key = meaning.gives("--api-key") or bool(meaning.environment.get("VLLM_API_KEY"))
    host = meaning.value("--host", "all interfaces")
    if not key and not is_loopback(host) and not meaning.gives("--uds"):
        message = f"listens on {host[:60]} without a key: whoever reaches the port uses the model"
        yield _finding(
            "EXP020", Status.WARN, "--host", message, "`--host 127.0.0.1`, or VLLM_API_KEY in the environment"
        )
    for flag in meaning.flags:
        if flag.name in SECRETS:
            message = f"`{flag.written}` is in the command line, where every local user can read it (`ps`)"
            yield _finding("EXP021", Status.WARN, flag.written, message, "VLLM_API_KEY in the environment, from a file")
    if meaning.value("--trust-remote-code") == "on":
        message = "`--trust-remote-code` runs the repository's Python"
        yield _finding("EXP024", Status.WARN, "--trust-remote-code", message, "leave it out, or pin `--revision`")


def request_tokens(meaning: Meaning, shape: ModelShape) -> int:
    """`--max-model-len`, else the trained length."""
    return meaning.settings.context_size or shape.context_length


def at_full_load(meaning: Meaning, *, shape: ModelShape) -> tuple[str, ...]:
    """What happens when the pool is full."""
    settings = meaning.settings
    return (
        f"up to {settings.parallel} requests run at a time and share one pool of blocks; when it is full, the last one is "
        "stopped and computed again later",
        f"a prompt longer than {request_tokens(meaning, shape)} tokens gets HTTP 400",
        "further requests wait without any limit: what stands in front must bound the queue",
    )


def in_words(meaning: Meaning, *, shape: ModelShape | None, has_cards: bool) -> tuple[str, ...]:
    """What the line asks for."""
    settings = meaning.settings
    key = meaning.gives("--api-key") or bool(meaning.environment.get("VLLM_API_KEY"))
    host, port = meaning.value("--host", "all interfaces"), meaning.value("--port", "8000")
    length = settings.context_size or (shape.context_length if shape is not None else 0)
    return (
        f"serves on {host[:60]}, port {port[:8]}, {'with' if key else 'without'} a key",
        f"requests of up to {length or 'the trained length in'} tokens, {settings.parallel} at a time",
        f"KV cache {settings.kv_cache_type_k}, on {settings.tensor_parallel} card{'s'[: settings.tensor_parallel > 1]}, "
        f"{settings.gpu_memory_utilization:g} of each" + ("" if has_cards else ": there is none"),
    )
