"""The variables of `ollama serve` and what a value of them means to it.

Source: Ollama 0.33 (main of 2026-08-21) envconfig/config.go: values lose blanks and quotes around them, a number that cannot
be read is the default, a truth word that cannot be read is true. The whole environment is inherited by the llama-server that
is started for each model (llm/llama_server.go, `SetupLlamaServerCommandEnv`), so `LLAMA_ARG_*` counts where Ollama itself
does not write the option.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches

from llmops.domain.engine import FlashAttention
from llmops.domain.explained import FlagSource, GivenFlag
from llmops.domain.finding import Finding, Status, Where
from llmops.domain.records import dataclass

PROGRAM = "ollama serve"
DEFAULT_PORT = 11434
DEFAULT_QUEUE = 512
DEFAULT_KEEP_ALIVE_SECONDS = 300.0

NAMES = frozenset(
    "OLLAMA_" + name
    for name in (
        "HOST", "ORIGINS", "MODELS", "KEEP_ALIVE", "LOAD_TIMEOUT", "CONTEXT_LENGTH", "NUM_PARALLEL", "MAX_LOADED_MODELS",
        "MAX_QUEUE", "FLASH_ATTENTION", "KV_CACHE_TYPE", "GPU_OVERHEAD", "SCHED_SPREAD", "IGPU_ENABLE", "VULKAN",
        "LLM_LIBRARY", "DEBUG", "DEBUG_LOG_REQUESTS", "GO_TEMPLATE", "NOPRUNE", "NOHISTORY", "NO_CLOUD", "REMOTES", "AUTH",
        "MAX_TRANSFER_STREAMS", "EDITOR",
    )
)  # fmt: skip
"""Every variable of its own that 0.33 reads."""

GONE = {
    "OLLAMA_NEW_ENGINE": "leave it out: every GGUF model runs in llama-server today",
    "OLLAMA_NEW_ESTIMATES": "leave it out",
    "OLLAMA_MULTIUSER_CACHE": "leave it out; `LLAMA_ARG_CACHE_RAM` bounds the prompt cache",
    "OLLAMA_TMPDIR": "`TMPDIR`",
    "OLLAMA_RUNNERS_DIR": "leave it out",
    "OLLAMA_INTEL_GPU": "`OLLAMA_VULKAN=1` and `OLLAMA_IGPU_ENABLE=1`",
    "OLLAMA_MAX_VRAM": "`LLAMA_ARG_FIT_TARGET=MIB` leaves memory free on each card",
    "OLLAMA_NUM_GPU": "`PARAMETER num_gpu N` of the model, or `LLAMA_ARG_N_GPU_LAYERS=N`",
    "OLLAMA_NUM_CTX": "`OLLAMA_CONTEXT_LENGTH`",
}
"""Variables that guides still name and nothing reads, and what does the same today."""

CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"[+-]?(?:[0-9]{1,12}(?:\.[0-9]{0,9})?(?:ns|us|µs|ms|s|m|h))+")
_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,9})?)(ns|us|µs|ms|s|m|h)")
_WHOLE = re.compile(r"[0-9]{1,20}", re.ASCII)
LARGEST = 1 << 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What the variables say.

    `context_tokens` 0: by the cards' memory; `max_models` 0: three a card; `keep_alive_seconds` infinite: never unloaded;
    `cache_type` empty: not given. `batch_tokens` is a model's own, 0: by context and memory.
    """

    address: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    context_tokens: int = 0
    parallel: int = 1
    cache_type: str = ""
    flash_attention: FlashAttention = FlashAttention.AUTO
    overhead_bytes: int = 0
    spread: bool = False
    max_models: int = 0
    max_queue: int = DEFAULT_QUEUE
    keep_alive_seconds: float = DEFAULT_KEEP_ALIVE_SECONDS
    origins: str = ""
    batch_tokens: int = 0


def finding(code: str, status: Status, name: str, message: str, fix: str | None) -> Finding:
    """A finding about one variable."""
    return Finding(code=code, status=status, message=message, fix=fix, where=Where(file=PROGRAM, key=name[:60] or None))


def read_server(environment: Mapping[str, str]) -> tuple[Server, tuple[GivenFlag, ...], tuple[Finding, ...]]:
    """The variables as the server reads them, those that are set, and what is wrong with them."""
    reader = _Reader(environment)
    address, port = reader.listen()
    spread = reader.truth("OLLAMA_SCHED_SPREAD", default=False)
    flash = reader.text("OLLAMA_FLASH_ATTENTION")
    server = Server(
        address=address,
        port=port,
        context_tokens=reader.whole("OLLAMA_CONTEXT_LENGTH", 0),
        parallel=max(reader.whole("OLLAMA_NUM_PARALLEL", 1), 1),
        cache_type=reader.cache_type(),
        flash_attention=FlashAttention.AUTO
        if not flash
        else (FlashAttention.ON if reader.truth("OLLAMA_FLASH_ATTENTION", default=False) else FlashAttention.OFF),
        overhead_bytes=reader.whole("OLLAMA_GPU_OVERHEAD", 0),
        spread=spread,
        max_models=reader.whole("OLLAMA_MAX_LOADED_MODELS", 0),
        max_queue=reader.whole("OLLAMA_MAX_QUEUE", DEFAULT_QUEUE),
        keep_alive_seconds=reader.seconds("OLLAMA_KEEP_ALIVE", DEFAULT_KEEP_ALIVE_SECONDS),
        origins=reader.text("OLLAMA_ORIGINS"),
    )
    given = tuple(
        GivenFlag(name=name, value=value[:120], source=FlagSource.ENVIRONMENT, written=name)
        for name, value in environment.items()
        if name in NAMES
    )
    return server, given, (*_names(environment), *reader.findings)


def _names(environment: Mapping[str, str]) -> list[Finding]:
    found = []
    for name in environment:
        if name in GONE:
            message = f"Ollama 0.33 no longer reads `{name}`: it sets nothing"
            found.append(finding("EXP061", Status.WARN, name, message, f"today: {GONE[name]}"))
        elif name.startswith("OLLAMA_") and name not in NAMES:
            near = get_close_matches(name, NAMES, n=1)
            fix = f"did you mean `{near[0]}`?" if near else "`ollama serve --help` lists the variables"
            message = f"Ollama does not read `{name[:60]}`: it sets nothing"
            found.append(finding("EXP060", Status.WARN, name, message, fix))
    return found


class _Reader:
    """Values by name, as Go's `strconv` and `time` read them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.findings: list[Finding] = []

    def text(self, name: str) -> str:
        value = self.environment.get(name, "").strip().strip("\"'")
        if "$" in value:
            message = f"`{name}={value[:40]}`: the value is not known here, the default is taken"
            fix = "run it where the variable is set, or write the value"
            self.findings.append(finding("EXP012", Status.SKIP, name, message, fix))
            return ""
        return value

    def _bad(self, name: str, value: str, taken: str, fix: str) -> None:
        message = f"`{name}={value[:40]}` cannot be read: {taken} is taken"
        self.findings.append(finding("EXP062", Status.WARN, name, message, fix))

    def whole(self, name: str, default: int) -> int:
        value = self.text(name)
        if not value:
            return default
        if not _WHOLE.fullmatch(value) or int(value) >= LARGEST:
            meant = re.fullmatch(r"([0-9]{1,6})([kK])", value)
            fix = f"`{name}={int(meant[1]) * 1024}`" if meant else f"`{name}=NUMBER`"
            self._bad(name, value, f"the default of {default}", fix)
            return default
        return int(value)

    def truth(self, name: str, *, default: bool) -> bool:
        value = self.text(name)
        if not value:
            return default
        if value not in (*_TRUE, *_FALSE):
            self._bad(name, value, "true", f"`{name}=1` or `{name}=0`")
        return value not in _FALSE

    def seconds(self, name: str, default: float) -> float:
        """A duration or whole seconds; below zero is for ever."""
        value = self.text(name)
        if not value:
            return default
        if re.fullmatch(r"[+-]?[0-9]{1,12}", value, re.ASCII):
            count = float(value)
        elif _DURATION.fullmatch(value):
            count = sum(float(part[1]) * _UNITS[part[2]] for part in _PART.finditer(value))
            count = -count if value.startswith("-") else count
        else:
            self._bad(name, value, "the default", f"`{name}=30m`, or -1 for ever")
            return default
        return float("inf") if count < 0 else count

    def cache_type(self) -> str:
        value = self.text("OLLAMA_KV_CACHE_TYPE").lower()
        if value and value not in CACHE_TYPES:
            message = f"`OLLAMA_KV_CACHE_TYPE={value[:40]}` is no type of llama.cpp: no model would load"
            fix = f"one of {', '.join(CACHE_TYPES)}"
            self.findings.append(finding("EXP003", Status.FAIL, "OLLAMA_KV_CACHE_TYPE", message, fix))
            return ""
        return value

    def listen(self) -> tuple[str, int]:
        """`[scheme://]host[:port][/path]`; a bad port is the scheme's own."""
        text = self.text("OLLAMA_HOST")
        scheme, found, rest = text.partition("://")
        rest = rest if found else text
        port = {"http": 80, "https": 443}.get(scheme, DEFAULT_PORT) if found else DEFAULT_PORT
        rest = rest.partition("/")[0]
        match = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*):([^:]*)", rest)
        if match is None:
            return rest.strip("[]") or "127.0.0.1", port
        if not re.fullmatch(r"[0-9]{1,5}", match[2], re.ASCII) or int(match[2]) > 65535:
            self._bad("OLLAMA_HOST", text, f"port {port}", "`OLLAMA_HOST=127.0.0.1:11434`")
            return match[1].strip("[]"), port
        return match[1].strip("[]"), int(match[2])
