"""What is unwise about a llama-server command line, or ends its start with a model or on a card. Build b11669.

Source: llama.cpp tools/server, src/llama-context.cpp, src/llama-model.cpp, ggml-cuda; where it says "would not start" the real
server was seen to end, but for split modes and card kernels, which are from the source.
"""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from llmops.domain.engine import Device, DeviceKind, FlashAttention
from llmops.domain.explained import FlagSource, Meaning
from llmops.domain.finding import Finding
from llmops.domain.model import ModelShape
from llmops.domain.units import MIB
from llmops.engines import llama_cpp_cache_types, llama_cpp_refused
from llmops.engines.llama_cpp_arguments import refused, unwise, whole_number
from llmops.engines.llama_cpp_context import context
from llmops.engines.llama_cpp_overrides import EVERY_BLOCK
from llmops.engines.llama_cpp_settings import AUTO_SLOTS, DEFAULT_CACHE_RAM_MIB

DOORS = {
    "--tools": "gives the model tools that run on this host",
    "--agent": "gives the model tools that run on this host",
    "--ui-mcp-proxy": "lets clients reach other servers through this one",
    "--mcp-servers-config": "connects the model to other servers",
    "--mcp-servers-json": "connects the model to other servers",
    "--media-path": "lets clients read files of a directory",
    "--props": "lets clients change settings of the server",
    "--slot-save-path": "lets clients write and read state files",
    "--rpc": "sends the model's data to other machines unencrypted, and trusts what they answer",
    "--log-prompts-dir": "stores every prompt on disk",
}
NO_TENSOR_SPLIT = frozenset(
    {
        "deepseek2",
        "deepseek32",
        "glm-dsa",
        "hy_v4",
        "dots3note",
        "mistral4",
        "bailingmoe3",
        "jamba",
        "falcon-h1",
        "plamo2",
    }
    | {"gemma3n", "olmo2", "olmoe", "grok", "mpt", "minicpm3", "bitnet", "t5", "glm5-next", "qwen3tts", "granitehybrid"}
)
NO_TENSOR_SPLIT_FAMILIES = ("kimi-", "minimax-", "nemotron_h", "mamba", "rwkv", "arwkv")


def advice(meaning: Meaning, *, shape: ModelShape | None, devices: Sequence[Device]) -> tuple[Finding, ...]:
    """All findings beyond the words themselves."""
    found = [*_doors(meaning), *_keys(meaning), *_sources(meaning), *_memory(meaning), *_attention(meaning, devices)]
    if devices and meaning.settings.use_gpu:
        found += _cards(meaning, devices)
    if shape is not None:
        found += _with_model(meaning, shape, devices)
    return tuple(found)


def is_loopback(host: str) -> bool:
    """Whether only this host's users reach it; `--host` takes several, and a Unix socket."""
    return all(_is_local(one.strip()) for one in host.split(","))


def _is_local(address: str) -> bool:
    """A name that only looks like an address of this host, such as 127.example.org, is somebody else's."""
    if address == "localhost" or address.endswith(".sock"):
        return True
    try:
        return ip_address(address.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def _doors(meaning: Meaning) -> Iterator[Finding]:
    host = meaning.value("--host", "127.0.0.1")
    has_key = meaning.gives("--api-key") or meaning.gives("--api-key-file")
    if not has_key and not is_loopback(host):
        message = f"listens on {host[:60]} without a key: whoever reaches the port uses the model and reads /slots"
        yield unwise("EXP020", "--host", message, "`--host 127.0.0.1` behind a proxy, or `--api-key-file FILE`")
    if meaning.value("--slots", "on") == "on":
        message = "/slots is on by default: it shows other users' requests and their progress"
        yield unwise("EXP022", "--slots", message, "`--no-slots`")
    if not has_key and meaning.value("--cors-origins", "*") == "*":
        message = "no key and every origin is let in: any web page a user opens can use the server"
        yield unwise(
            "EXP023", "--cors-origins", message, "`--cors-origins http://localhost`, and `--api-key-file FILE`"
        )
    for name, what in DOORS.items():
        if meaning.value(name, "off") not in ("off", "none", ""):
            yield unwise(
                "EXP024", name, f"`{name}` {what}", "leave it out, or let nobody but its user reach the server"
            )
    level = whole_number(meaning.value("--verbosity", "3"))
    if meaning.gives("--verbose") or (level is not None and level[0] >= 5):
        yield unwise("EXP024", "--verbosity", "from verbosity 5 prompts and answers are in the log", "`-lv 4` at most")
    if meaning.gives("--ssl-key-file") != meaning.gives("--ssl-cert-file"):
        message = "only one of the two TLS files is given: the server starts in plain HTTP without a word"
        yield unwise("EXP025", "--ssl-cert-file", message, "give `--ssl-key-file` and `--ssl-cert-file`")
    if not meaning.gives("--port"):
        message = "the default port was 8080 and is 9931 in b11669"
        yield unwise("EXP026", "--port", message, "say which: `--port 8080`")


def _keys(meaning: Meaning) -> Iterator[Finding]:
    for name in ("--api-key", "--hf-token", "--mcp-servers-json"):
        flag = next((one for one in meaning.flags if one.name == name), None)
        if flag is None or (name == "--mcp-servers-json" and flag.source is FlagSource.ENVIRONMENT):
            continue
        fix = "`--api-key-file FILE`, readable by the server's user only"
        if flag.source is FlagSource.COMMAND_LINE:
            message = f"`{flag.written}` is in the command line, where every local user can read it (`ps`)"
            yield unwise(
                "EXP021", flag.written, message, fix if name == "--api-key" else "keep it in a file of its own"
            )
        elif name == "--api-key":
            message = "the key is in the environment, which the log, `systemctl show` or `docker inspect` may print"
            yield unwise("EXP021", flag.written, message, fix)


def _sources(meaning: Meaning) -> Iterator[Finding]:
    named = meaning.model
    if (
        named.file is None
        and named.repository is None
        and not any(one.name.endswith("-default") for one in meaning.flags)
    ):
        message = "no model is named: the server starts as a router that loads models on request"
        yield unwise("EXP030", "--model", message, "`-m FILE`")
    if named.repository is not None and not meaning.gives("--offline"):
        message = f"`{named.word}` asks the hub at every start, and takes whatever is there then"
        yield unwise("EXP031", named.word or "-hf", message, "`llmops pull` pins it; then `-m FILE --offline`")
    if meaning.environment.get("GGML_CUDA_ENABLE_UNIFIED_MEMORY"):
        message = "`GGML_CUDA_ENABLE_UNIFIED_MEMORY` lets what does not fit spill to RAM without a word, and slow down"
        yield unwise("EXP032", "GGML_CUDA_ENABLE_UNIFIED_MEMORY", message, "remove it")
    if meaning.environment.get("AIP_MODE") == "PREDICTION":
        message = "`AIP_MODE=PREDICTION` changes the port to AIP_HTTP_PORT (8080) and adds routes"
        yield unwise("EXP032", "AIP_MODE", message, "remove it")
    if meaning.gives("--defrag-thold"):
        yield unwise("EXP033", "--defrag-thold", "`--defrag-thold` is ignored today", "leave it out")


def _memory(meaning: Meaning) -> Iterator[Finding]:
    settings = meaning.settings
    if settings.ubatch_tokens > settings.batch_tokens:
        message = (
            f"`-ub {settings.ubatch_tokens}` is more than `-b {settings.batch_tokens}`: {settings.batch_tokens} is used"
        )
        yield unwise("EXP033", "--ubatch-size", message, f"`-b {settings.ubatch_tokens}`")
    if settings.parallel > settings.batch_tokens:
        message = (
            f"`-b {settings.batch_tokens}` is less than the {settings.parallel} slots, each of which gets a row: "
            "the server would not start"
        )
        yield refused("EXP041", "--batch-size", message, f"`-b {max(settings.parallel, 512)}`, or fewer slots (`-np`)")
    given = meaning.value("--cache-ram", str(DEFAULT_CACHE_RAM_MIB))
    if not meaning.gives("--cache-ram"):
        message = f"the prompt cache may grow to {DEFAULT_CACHE_RAM_MIB} MiB of RAM, its default"
        yield unwise("EXP048", "--cache-ram", message, "`--cache-ram MIB`, or 0 to switch it off")
    elif given.startswith("-"):
        message = f"`--cache-ram {given[:12]}` is a prompt cache without limit; {DEFAULT_CACHE_RAM_MIB} MiB are counted"
        yield unwise("EXP048", "--cache-ram", message, "`--cache-ram MIB`")
    if (
        settings.parallel > 1
        and not settings.kv_unified
        and settings.context_size
        and not meaning.gives("--kv-unified")
    ):
        each = settings.context_size // settings.parallel
        message = (
            f"`-np {settings.parallel}` gives each request {each} tokens of `-c {settings.context_size}`, not all of it"
        )
        fix = f"`-c {settings.context_size * settings.parallel} --no-kv-unified`, or `--kv-unified` to share one pool"
        yield unwise("EXP041", "--parallel", message, fix)


def _attention(meaning: Meaning, devices: Sequence[Device]) -> Iterator[Finding]:
    settings = meaning.settings
    yield from llama_cpp_cache_types.of_line(meaning, devices)
    on_cuda = settings.use_gpu and any(one.kind is DeviceKind.CUDA for one in devices)
    if on_cuda and settings.flash_attention is FlashAttention.AUTO:
        message = "`-fa auto` goes off without a word where the card lacks the kernel, and the buffers grow"
        yield unwise("EXP046", "--flash-attn", message, "`-fa on`")


def _cards(meaning: Meaning, devices: Sequence[Device]) -> Iterator[Finding]:
    settings = meaning.settings
    if meaning.value("--fit", "on") == "on":
        changes = _fit_may_change(meaning, len(devices))
        message = f"`--fit` is on: what does not fit is made smaller at each start without asking ({changes})"
        yield unwise("EXP040", "--fit", message, "`-fit off`, with `-c` and `-ngl` given")
    cuda = any(one.kind is DeviceKind.CUDA for one in devices)
    if settings.split_mode == "row" and cuda:
        message = "`-sm row`: the CUDA backend has no split buffers any more, the server would not start"
        yield refused("EXP044", "--split-mode", message, "`-sm layer`")
    if settings.split_mode == "tensor":
        yield unwise(
            "EXP044",
            "--split-mode",
            "`-sm tensor` is experimental: many a setting ends its start, and what is known of them is said here",
            "`-sm layer`",
        )
        if settings.flash_attention is FlashAttention.OFF:
            message = "`-sm tensor` needs flash attention, which is off: the server would not start"
            yield refused("EXP044", "--split-mode", message, "`-fa on`")
    if len(devices) > 1 and settings.split_mode == "layer" and not settings.tensor_split:
        message = "without `-ts` the layers are shared out by the memory free at each start: two starts can differ"
        yield unwise("EXP047", "--tensor-split", message, "`-ts`, as `llmops plan` writes it")


def _fit_may_change(meaning: Meaning, cards: int) -> str:
    """What `--fit` may touch: only what is not given."""
    settings = meaning.settings
    changes = [] if settings.context_size else ["the context, down to 4096"]
    changes += [] if meaning.gives("--gpu-layers") else ["layers on the cards"]
    changes += [] if settings.tensor_split or cards < 2 else ["the split over cards"]
    return ", ".join([*changes, "tensors moved to RAM"])


def _with_model(meaning: Meaning, shape: ModelShape, devices: Sequence[Device]) -> Iterator[Finding]:
    settings = meaning.settings
    made = context(settings, trained_tokens=shape.context_length)
    if made.sequence_tokens > shape.context_length and settings.context_size > shape.context_length:
        message = (
            f"{made.sequence_tokens} tokens a slot are more than the {shape.context_length} the model was trained for: "
            "slots are cut to that, the memory is taken all the same"
        )
        slots = 1 if settings.kv_unified else settings.parallel
        yield unwise("EXP042", "--ctx-size", message, f"`-c {shape.context_length * slots}`")
    if shape.needs_even_batches() and not settings.kv_unified and made.graph_rows != made.ubatch_tokens:
        message = (
            f"batches of {made.ubatch_tokens} are not shared evenly by {settings.parallel} slots, which ends the start of "
            f"`{shape.architecture}`: it would not start"
        )
        yield refused("EXP041", "--parallel", message, "`--kv-unified`, or slots that divide it, such as `-np 4`")
    if not settings.context_size and shape.context_length > 65536:
        message = f"`-c` is not given: the whole trained length of {shape.context_length} tokens is reserved"
        yield unwise("EXP042", "--ctx-size", message, "`-c TOKENS`")
    yield from llama_cpp_cache_types.with_model(settings, shape)
    yield from llama_cpp_refused.with_model(meaning, shape, devices)
    yield from _images(meaning, shape, made.sequence_tokens)
    draft = shape.companions.draft if shape.companions is not None else None
    uncut = [one.architecture for one in (shape, draft) if one is not None and _no_tensor_split(one.architecture)]
    if settings.split_mode == "tensor" and devices and uncut:
        message = f"`-sm tensor` is refused for `{uncut[0]}`: the server would not start"
        yield refused("EXP044", "--split-mode", message, "`-sm layer`")
    if (
        not shape.has_chat_template
        and not meaning.gives("--chat-template")
        and not meaning.gives("--chat-template-file")
    ):
        message = "the file has no chat template: the server falls back to ChatML, wrong for most models"
        yield unwise("EXP034", "--chat-template", message, "`--chat-template-file FILE`")


def _images(meaning: Meaning, shape: ModelShape, sequence_tokens: int) -> Iterator[Finding]:
    """A projector whose largest image is out of proportion: Youtu-VL lets in 62,500 tokens, four patches each."""
    if shape.companions is None or shape.companions.projector is None:
        return
    from llmops.engines.llama_cpp_images import WIDE_TOKENS, wide_image

    tokens = wide_image(shape.companions.projector, meaning.settings, sequence_tokens)
    if tokens:
        message = f"an image of up to {tokens:,} tokens is let in, and the projector counted for it"
        yield unwise("EXP048", "--image-max-tokens", message, f"`--image-max-tokens {WIDE_TOKENS}`")


def _no_tensor_split(architecture: str) -> bool:
    return architecture in NO_TENSOR_SPLIT or architecture.startswith(NO_TENSOR_SPLIT_FAMILIES)


def at_full_load(meaning: Meaning, *, shape: ModelShape) -> tuple[str, ...]:
    """What happens when every slot is busy."""
    settings = meaning.settings
    made = context(settings, trained_tokens=shape.context_length)
    limit = request_tokens(meaning, shape)
    slots = f"{settings.parallel} request{'s'[: settings.parallel > 1]} at a time"
    sentences = []
    if settings.kv_unified and settings.parallel > 1:
        sentences.append(
            f"{slots} share one pool of {made.pool_tokens} tokens; one alone may use {limit}. When together they need more, "
            'caches of idle slots go first, then a request fails ("Context size has been exceeded")'
        )
    else:
        sentences.append(f"{slots}, each with {limit} tokens of its own; none can take another's")
    ends = (
        "old tokens are dropped"
        if meaning.value("--context-shift", "off") == "on"
        else "it ends with `finish_reason: length`"
    )
    sentences.append(f"a prompt longer than {limit} tokens gets HTTP 400; when an answer reaches the limit, {ends}")
    sentences.append("further requests wait without any limit: what stands in front must bound the queue")
    if settings.cache_ram_bytes:
        sentences.append(f"prompts of idle slots are kept in RAM, up to {settings.cache_ram_bytes // MIB} MiB")
    return tuple(sentences)


def request_tokens(meaning: Meaning, shape: ModelShape) -> int:
    """One request's limit: its part of the pool, `--kv-unified-per-slot`, and the trained length."""
    made = context(meaning.settings, trained_tokens=shape.context_length)
    per_slot = whole_number(meaning.value("--kv-unified-per-slot", "0"))
    limits = [made.sequence_tokens, shape.context_length, *([per_slot[0]] if per_slot and per_slot[0] > 0 else [])]
    return min(one for one in limits if one > 0)


def in_words(meaning: Meaning, *, shape: ModelShape | None, has_cards: bool) -> tuple[str, ...]:
    """What the line asks for."""
    settings = meaning.settings
    host, port = meaning.value("--host", "127.0.0.1"), meaning.value("--port", "9931")
    key = meaning.gives("--api-key") or meaning.gives("--api-key-file")
    sentences = [f"serves on {host[:60]}, port {port[:8]}, {'with' if key else 'without'} a key"]
    pool = "the trained length" if not settings.context_size else f"{settings.context_size} tokens"
    if shape is not None:
        pool = f"{context(settings, trained_tokens=shape.context_length).pool_tokens} tokens"
    how = "one pool for all" if settings.kv_unified else "an equal part for each"
    auto = "" if meaning.gives("--parallel") else f" (`-np` is not given: {AUTO_SLOTS})"
    sentences.append(f"context of {pool} for {settings.parallel} slots{auto}, {how}")
    kinds = {settings.kv_cache_type_k, settings.kv_cache_type_v}
    sentences.append(
        f"KV cache {'/'.join(sorted(kinds))}, flash attention {settings.flash_attention.value}, "
        f"batches of {settings.batch_tokens}, {settings.ubatch_tokens} in one graph"
    )
    sentences.append(_layers_in_words(meaning) if has_cards else "no card is used: all layers in RAM")
    return tuple(sentences)


def _layers_in_words(meaning: Meaning) -> str:
    settings = meaning.settings
    if not settings.use_gpu:
        return "no card is used: all layers in RAM"
    layers = "all layers" if settings.gpu_layers is None else f"{settings.gpu_layers} layers"
    auto = "" if meaning.gives("--gpu-layers") else " (`-ngl` is not given: auto)"
    parts = [f"{layers} on the cards{auto}, split mode {settings.split_mode}"]
    if settings.tensor_split:
        parts.append("parts " + ", ".join(f"{one:g}" for one in settings.tensor_split))
    if settings.cpu_moe_layers:
        blocks = (
            "all blocks" if settings.cpu_moe_layers >= EVERY_BLOCK else f"the first {settings.cpu_moe_layers} blocks"
        )
        parts.append(f"experts of {blocks} in RAM")
    if not settings.kv_offload:
        parts.append("the cache in RAM")
    return ", ".join(parts)
