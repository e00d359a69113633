"""Locks for tests, made by hand of domain types: figures as a real plan of these models has them."""

from collections.abc import Mapping
from dataclasses import replace

from llmops.domain.binding import Binding, MemoryPolicy
from llmops.domain.engine import DeviceKind, Engine, EngineName, EngineSettings
from llmops.domain.ledger import Buffer, Causes, Confidence, DeviceLedger, HostLedger, Ledger, Pool
from llmops.domain.lock import Lock, LockedDeployment, LockedDevice, LockedEngine
from llmops.domain.model import Digest, DigestAlgorithm, ModelFile, ModelRef, SourceKind
from llmops.domain.numbers import Number, Numbers
from llmops.domain.plan import Estimate, Speed
from llmops.domain.profile import ChangePolicy, Features, HostWish, Observe, Serve
from llmops.domain.units import GIB, MIB
from llmops.engines import llama_cpp, ollama, sglang, tgi

RTX_4090_UUID = "GPU-5d6a1c2e-8f0b-4c1d-9e77-3a1b2c3d4e5f"


def vllm_argv(*, alias: str, port: int, context: int, slots: int) -> tuple[str, ...]:
    """A locked `vllm serve` command line; its key comes from a credential through the environment."""
    return (
        *("vllm", "serve", "{model}", "--served-model-name", alias, "--host", "127.0.0.1", "--port", str(port)),
        *("--max-model-len", str(context), "--max-num-seqs", str(slots), "--gpu-memory-utilization", "0.90"),
        *("--tensor-parallel-size", "1", "--kv-cache-dtype", "auto", "--generation-config", "vllm"),
        *("--allowed-origins", '["https://localhost"]', "--shutdown-timeout", "60"),
    )


def numbers(*, port: int, slots: int = 2, start_seconds: int = 180, memory_bytes: int = 12 * GIB) -> Numbers:
    """Derived figures of one deployment, in the order client > edge > queue + request."""
    return Numbers(
        slots=Number(value=slots, rule="--parallel"),
        queue_length=Number(value=4, rule="2 x slots"),
        queue_timeout_seconds=Number(value=30, rule="half of the request timeout"),
        request_timeout_seconds=Number(value=270, rule="prompt / prefill + output / decode, x 1.5"),
        gateway_timeout_seconds=Number(value=315, rule="queue + request + 15"),
        edge_read_timeout_seconds=Number(value=330, rule="gateway + 15"),
        client_timeout_seconds=Number(value=345, rule="edge + 15"),
        client_retries=Number(value=4, rule="until one of 4 places is free"),
        retry_after_seconds=Number(value=2, rule="of a refusal"),
        start_timeout_seconds=Number(value=start_seconds, rule="3 x load + 60, at least 120"),
        stop_timeout_seconds=Number(value=45, rule="drain 30 + 15"),
        rate_limit_requests_per_minute=Number(value=60, rule="serve.rate_limit"),
        rate_limit_burst=Number(value=20, rule="serve.rate_limit"),
        connections_per_key=Number(value=6, rule="slots + queue"),
        body_limit_bytes=Number(value=1 * MIB, rule="8 x context, at least 1 MiB"),
        memory_max_bytes=Number(value=memory_bytes, rule="host ledger x 1.2 + page cache"),
        tasks_max=Number(value=512, rule="llama.cpp"),
        alert_queue_length=Number(value=3, rule="80% of the queue"),
        engine_port=Number(value=port, rule="8080 and up"),
        gateway_port=Number(value=port + 1000, rule="the engine's port + 1000"),
    )


def _sha256(letter: str) -> Digest:
    return Digest(algorithm=DigestAlgorithm.SHA256, value=letter * 64)


def _speed(value: float, low: float, high: float) -> Speed:
    figure = Estimate(value=value, low=low, high=high, confidence=Confidence.CALIBRATED, basis="bandwidth / bytes read")
    return Speed(prefill_tokens_per_second=None, decode_tokens_per_second=figure, load_seconds=None)


def llama_cpu(*, alias: str = "chat", port: int = 8080) -> LockedDeployment:
    """A small model on the CPU: 1.7B Q8_0, 8192 tokens, 2 slots."""
    settings = EngineSettings(engine=EngineName.LLAMA_CPP, context_size=16384, parallel=2, gpu_layers=0)
    host = Causes(weights_bytes=1_834_426_368, kv_cache_bytes=1_879_048_192, compute_bytes=322_437_120)
    return LockedDeployment(
        model=ModelRef(
            source="hf:Qwen/Qwen3-1.7B-GGUF:Q8_0",
            kind=SourceKind.HUB,
            repository="Qwen/Qwen3-1.7B-GGUF",
            commit="90862c4b9d2787eaed51d12237eafdfe7c5f6077",
            licence="apache-2.0",
            files=(ModelFile(name="Qwen3-1.7B-Q8_0.gguf", bytes=1_834_426_016, digest=_sha256("6")),),
        ),
        quantization="Q8_0",
        engine=LockedEngine(name=EngineName.LLAMA_CPP, build="b11669", versions=">= b11434"),
        settings=settings,
        argv=llama_cpp.argv(settings, alias=alias, port=port, threads=8),
        devices=(),
        ledger=Ledger(
            engine="llama.cpp",
            engine_build="b11669",
            confidence=Confidence.EXACT,
            devices=(),
            host=HostLedger(causes=host, limit_bytes=32 * GIB, page_cache_bytes=1_834_426_368),
            buffers={"CPU": Buffer(model=1_834_426_368, context=1_879_048_192, compute=322_437_120)},
        ),
        speed=_speed(18.0, 12.0, 22.0),
        numbers=numbers(port=port, memory_bytes=5_368_709_120),
        features=Features(),
        fallback=(),
    )


def llama_gpu(*, alias: str = "chat", port: int = 8080, index: int = 0) -> LockedDeployment:
    """An 8B Q4_K_M split in two files on one RTX 4090: 16384 tokens, 4 slots."""
    settings = EngineSettings(engine=EngineName.LLAMA_CPP, context_size=65536, parallel=4)
    causes = Causes(
        weights_bytes=4_403_765_248, kv_cache_bytes=8_589_934_592, compute_bytes=319_029_248, overhead_bytes=402_653_184
    )
    card = DeviceLedger(
        name="CUDA0",
        capacity_bytes=25_757_220_864,
        free_bytes=25_282_084_864,
        causes=causes,
        reserve_bytes=GIB,
        confidence={"overhead_bytes": Confidence.CALIBRATED},
    )
    return LockedDeployment(
        model=ModelRef(
            source="hf:bartowski/Meta-Llama-3.1-8B-Instruct-GGUF:Q4_K_M",
            kind=SourceKind.HUB,
            repository="bartowski/Meta-Llama-3.1-8B-Instruct-GGUF",
            commit="bf5b95e96dac0462e2a09145ec66cae9a3f12067",
            licence="llama3.1",
            files=(
                ModelFile(name="llama-8b-Q4_K_M-00001-of-00002.gguf", bytes=2_460_000_000, digest=_sha256("a")),
                ModelFile(name="llama-8b-Q4_K_M-00002-of-00002.gguf", bytes=2_460_739_232, digest=_sha256("b")),
            ),
        ),
        quantization="Q4_K_M",
        engine=LockedEngine(name=EngineName.LLAMA_CPP, build="b11669", versions=">= b11434"),
        settings=settings,
        argv=llama_cpp.argv(settings, alias=alias, port=port, threads=8),
        devices=(
            LockedDevice(
                name="NVIDIA GeForce RTX 4090",
                kind=DeviceKind.CUDA,
                capacity_bytes=25_757_220_864,
                uuid=RTX_4090_UUID,
                index=index,
            ),
        ),
        ledger=Ledger(
            engine="llama.cpp",
            engine_build="b11669",
            confidence=Confidence.CALIBRATED,
            devices=(card,),
            host=HostLedger(causes=Causes(weights_bytes=295_501_824, compute_bytes=33_554_432), limit_bytes=64 * GIB),
            buffers={"CUDA0": Buffer(model=4_403_765_248, context=8_589_934_592, compute=319_029_248)},
        ),
        speed=_speed(128.0, 110.0, 140.0),
        numbers=numbers(port=port, slots=4),
        features=Features(),
        fallback=(),
    )


def vllm_gpu(*, alias: str = "chat", port: int = 8000, index: int = 0) -> LockedDeployment:
    """A safetensors model for vLLM on one RTX 4090: 8192 tokens, 16 requests."""
    causes = Causes(weights_bytes=8_043_102_208, kv_cache_bytes=12_000_000_000, compute_bytes=2_500_000_000)
    card = DeviceLedger(
        name="NVIDIA GeForce RTX 4090",
        capacity_bytes=25_757_220_864,
        free_bytes=25_282_084_864,
        causes=causes,
        reserve_bytes=GIB,
        confidence={"compute_bytes": Confidence.LOW},
    )
    pool = Pool(
        num_blocks=5086,
        bytes_per_block=2_359_296,
        kv_pool_bytes=11_999_379_456,
        kv_pool_tokens=81376,
        max_concurrency=9.93,
    )
    return LockedDeployment(
        model=ModelRef(
            source="hf:Qwen/Qwen3-4B",
            kind=SourceKind.HUB,
            repository="Qwen/Qwen3-4B",
            commit="1cfa9a7208912126459214e8b04321603b3df60c",
            licence="apache-2.0",
            files=(
                ModelFile(name="config.json", bytes=726, digest=_sha256("c")),
                ModelFile(name="model-00001-of-00002.safetensors", bytes=4_967_215_360, digest=_sha256("d")),
                ModelFile(name="model-00002-of-00002.safetensors", bytes=3_077_766_632, digest=_sha256("e")),
            ),
        ),
        quantization=None,
        engine=LockedEngine(name=EngineName.VLLM, build="0.33.0", versions=">= 0.30, < 0.34"),
        settings=EngineSettings(
            engine=EngineName.VLLM,
            context_size=8192,
            parallel=16,
            kv_unified=True,
            kv_cache_type_k="auto",
            kv_cache_type_v="auto",
            gpu_memory_utilization=0.9,
        ),
        argv=vllm_argv(alias=alias, port=port, context=8192, slots=16),
        devices=(
            LockedDevice(
                name="NVIDIA GeForce RTX 4090",
                kind=DeviceKind.CUDA,
                capacity_bytes=25_757_220_864,
                uuid=RTX_4090_UUID,
                index=index,
            ),
        ),
        ledger=Ledger(
            engine="vllm",
            engine_build="0.33.0",
            confidence=Confidence.LOW,
            devices=(card,),
            host=HostLedger(causes=Causes(overhead_bytes=6 * GIB), limit_bytes=64 * GIB),
            pool=pool,
        ),
        speed=_speed(100.0, 80.0, 120.0),
        numbers=replace(
            numbers(port=port, slots=16, start_seconds=600, memory_bytes=16 * GIB),
            tasks_max=Number(value=4096, rule="vLLM"),
            stop_timeout_seconds=Number(value=90, rule="drain 60 + 30"),
        ),
        features=Features(),
        fallback=(),
    )


def amd_gpu(*, alias: str = "chat", port: int = 8080) -> LockedDeployment:
    """The same 8B model with llama.cpp on two Radeon cards, which amdgpu gives no UUID."""
    cards = tuple(
        LockedDevice(name="AMD Radeon RX 7900 XTX", kind=DeviceKind.ROCM, capacity_bytes=25_753_026_560, index=at)
        for at in range(2)
    )
    return replace(llama_gpu(alias=alias, port=port), devices=cards)


def ollama_gpu(*, port: int = 11434) -> LockedDeployment:
    """The 1.7B model in Ollama on one RTX 4090: 16384 tokens, 2 slots."""
    settings = EngineSettings(engine=EngineName.OLLAMA, context_size=32768, parallel=2, split_mode="none")
    chosen = llama_gpu(port=port)
    argv = ollama.argv(settings, alias="chat", port=port, threads=8)
    return replace(
        chosen,
        model=llama_cpu().model,
        quantization="Q8_0",
        engine=LockedEngine(name=EngineName.OLLAMA, build=ollama.BUILD, versions=ollama.VERSIONS),
        settings=ollama.settings(argv),
        argv=argv,
        numbers=numbers(port=port),
    )


def sglang_gpu(*, alias: str = "chat", port: int = 30000) -> LockedDeployment:
    """The safetensors model for SGLang on one RTX 4090: 8192 tokens, 16 requests."""
    return _pooled(sglang, EngineName.SGLANG, alias=alias, port=port)


def tgi_gpu(*, alias: str = "chat", port: int = 3000) -> LockedDeployment:
    """The safetensors model for TGI on one RTX 4090: 8192 tokens, 16 requests."""
    return _pooled(tgi, EngineName.TGI, alias=alias, port=port)


def _pooled(engine: Engine, name: EngineName, *, alias: str, port: int) -> LockedDeployment:
    chosen = vllm_gpu(alias=alias, port=port)
    argv = engine.argv(replace(chosen.settings, engine=name, batch_tokens=2048), alias=alias, port=port, threads=None)
    return replace(
        chosen,
        engine=LockedEngine(name=name, build=engine.BUILD, versions=engine.VERSIONS),
        settings=engine.settings(argv),
        argv=argv,
    )


def bound(deployment: LockedDeployment) -> LockedDeployment:
    """The deployment on the second of two memory nodes."""
    on = Binding(nodes="1", policy=MemoryPolicy.PREFERRED, threads="16-31,48-63")
    return replace(deployment, binding=on)


def lock(
    deployments: Mapping[str, LockedDeployment] | None = None,
    *,
    serve: Serve | None = None,
    targets: tuple[str, ...] = ("systemd", "env", "nginx"),
    observe: Observe | None = None,
    host: HostWish | None = None,
) -> Lock:
    """A lock over these deployments; without: `chat` on the CPU."""
    return Lock(
        made_by="0.1.0",
        profile_digest=None,
        facts_digest=None,
        host=host or HostWish(),
        serve=serve or Serve(),
        observe=observe or Observe(),
        targets=targets,
        change=ChangePolicy(),
        deployments=deployments or {"chat": llama_cpu()},
    )
