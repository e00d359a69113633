"""The llama-server that Ollama starts for a model: what it writes on the command line, and what the environment adds.

Source: Ollama 0.33 llm/llama_server.go (`startLlamaServer`). An option that Ollama writes wins over `LLAMA_ARG_*`, every
other one of the environment counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from llmops.domain.engine import EngineName, EngineSettings, FlashAttention
from llmops.domain.explained import FlagSource, GivenFlag
from llmops.domain.finding import Finding, Status
from llmops.engines.llama_cpp_arguments import read_environment
from llmops.engines.llama_cpp_settings import effective
from llmops.engines.ollama_scheduler import Start, largest_batch
from llmops.engines.ollama_variables import Server, finding

LLAMA_CPP = "b10488"
"""The build that Ollama 0.33 brings; its memory is taken as b11669's."""

WRITTEN = {
    "--ctx-size": "`OLLAMA_CONTEXT_LENGTH`",
    "--parallel": "`OLLAMA_NUM_PARALLEL`",
    "--flash-attn": "`OLLAMA_FLASH_ATTENTION`",
    "--batch-size": "`PARAMETER num_batch` of the model",
    "--ubatch-size": "`PARAMETER num_batch` of the model",
    "--host": "nothing: it is always 127.0.0.1",
    "--port": "nothing: it is a free one",
    "--model": "nothing: it is the model's blob",
    "--offline": "nothing: it is always on",
}
"""Options Ollama always writes, and what sets them."""


def environment_flags(environment: Mapping[str, str]) -> tuple[tuple[GivenFlag, ...], tuple[Finding, ...]]:
    """`LLAMA_ARG_*` that reach the runner and count, and what is to be said of the others."""
    words = read_environment({name: value for name, value in environment.items() if name.startswith("LLAMA_ARG_")})
    findings = list(words.findings)
    counted = []
    for flag in words.given:
        if flag.name in WRITTEN:
            message = f"`{flag.written}` has no effect: Ollama writes `{flag.name}` itself"
            findings.append(finding("EXP063", Status.WARN, flag.written, message, f"instead: {WRITTEN[flag.name]}"))
        else:
            counted.append(flag)
    return tuple(counted), tuple(findings)


def runner_settings(
    server: Server, environment: Sequence[GivenFlag], started: Start | None
) -> tuple[EngineSettings, tuple[Finding, ...]]:
    """The runner's settings; without a `Start` as far as the variables alone say: a context of 0 is not known yet."""
    context_tokens = started.context_tokens if started is not None else server.context_tokens
    parallel = started.parallel if started is not None else server.parallel
    total = context_tokens * parallel
    batch = started.batch_tokens if started is not None else largest_batch(total)
    words = {
        "--ctx-size": str(total),
        "--parallel": str(parallel),
        "--batch-size": str(batch),
        "--ubatch-size": str(batch),
        "--flash-attn": server.flash_attention.value,
    }
    if server.cache_type:
        words |= {"--cache-type-k": server.cache_type, "--cache-type-v": server.cache_type}
    if started is not None and started.one_card:
        words |= {"--split-mode": "none", "--main-gpu": "0"}
    given = {flag.name: flag for flag in environment}
    given |= {
        name: GivenFlag(name=name, value=value, source=FlagSource.COMMAND_LINE, written=name)
        for name, value in words.items()
    }
    made = effective(tuple(given.values()))
    # Without a card Ollama reads the file into memory instead of mapping it.
    mode = "none" if started is not None and not started.cards else made.settings.load_mode
    settings = replace(made.settings, engine=EngineName.OLLAMA, context_size=total, load_mode=mode)
    if started is not None and not started.cards:
        settings = replace(settings, use_gpu=False, gpu_layers=0)
    return settings, made.findings


def fits_by_itself(environment: Sequence[GivenFlag]) -> bool:
    """Whether llama-server's `--fit` chooses the layers: it is on, and nothing it may change is given."""
    given = {flag.name: flag.value for flag in environment}
    chosen = {
        "--gpu-layers",
        "--tensor-split",
        "--n-cpu-moe",
        "--cpu-moe",
        "--override-tensor",
        "--n-cpu-ffn",
    } & given.keys()
    if given.get("--gpu-layers") in ("auto", "-1"):
        chosen -= {"--gpu-layers"}
    return given.get("--fit", "on") == "on" and not chosen


def quantized_without_flash_attention(settings: EngineSettings) -> bool:
    """A start that fails: llama.cpp needs flash attention for a quantized V."""
    return settings.flash_attention is FlashAttention.OFF and settings.kv_cache_type_v not in ("f16", "bf16", "f32")
