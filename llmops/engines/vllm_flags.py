"""Every option of `vllm serve` 0.33.0, dumped from its parser, and those that earlier releases had.

By kind: `value` takes one argument, `json` one that is JSON (or has dotted keys), `whole` a whole number, `list` one or more,
`switch` none (or true/false after `=`); other spellings follow the name behind `|`, and behind `!` the one that switches it off.
`_GONE`: the name, and what to use today.
"""

from collections.abc import Iterator

from llmops.domain.engine import FlagRow, FlagTable

_ROWS = """
switch: --headless --grpc --trust-request-chat-template!--no-trust-request-chat-template
  --trust-request-mm-kwargs!--no-trust-request-mm-kwargs --return-tokens-as-token-ids!--no-return-tokens-as-token-ids
  --enable-auto-tool-choice!--disable-auto-tool-choice
  --exclude-tools-when-tool-choice-none!--no-exclude-tools-when-tool-choice-none
  --enable-prompt-tokens-details!--disable-prompt-tokens-details
  --enable-per-request-metrics!--disable-per-request-metrics
  --enable-server-load-tracking!--disable-server-load-tracking
  --enable-force-include-usage!--disable-force-include-usage
  --enable-tokenizer-info-endpoint!--disable-tokenizer-info-endpoint --enable-log-outputs!--disable-log-outputs
  --enable-log-deltas!--disable-log-deltas --cohere-is-reasoning-model!--no-cohere-is-reasoning-model
  --log-error-stack!--no-log-error-stack --tokens-only!--no-tokens-only --enable-scale-out!--disable-scale-out
  --disable-uvicorn-access-log!--enable-uvicorn-access-log --allow-credentials!--no-allow-credentials
  --enable-ssl-refresh!--disable-ssl-refresh --enable-request-id-headers!--disable-request-id-headers
  --disable-fastapi-docs!--enable-fastapi-docs --enable-offline-docs!--disable-offline-docs
  --enable-flash-late-interaction!--disable-flash-late-interaction --trust-remote-code!--no-trust-remote-code
  --allow-deprecated-quantization!--no-allow-deprecated-quantization --enforce-eager!--no-enforce-eager
  --enable-return-routed-experts!--disable-return-routed-experts --return-sampling-mask!--no-return-sampling-mask
  --use-fp64-gumbel!--no-use-fp64-gumbel --enable-trace-replay!--disable-trace-replay
  --disable-sliding-window!--enable-sliding-window --disable-cascade-attn!--enable-cascade-attn
  --skip-tokenizer-init!--no-skip-tokenizer-init --enable-prompt-embeds!--disable-prompt-embeds
  --enable-sleep-mode!--disable-sleep-mode --sleep-mode-offload-cudagraph!--no-sleep-mode-offload-cudagraph
  --enable-cumem-allocator!--disable-cumem-allocator --enable-nccl-comm-suspend!--disable-nccl-comm-suspend
  --use-tqdm-on-load!--no-use-tqdm-on-load
  --enable-mamba-cache-stochastic-rounding!--disable-mamba-cache-stochastic-rounding --numa-bind!--no-numa-bind
  --dcp-q-replicate!--no-dcp-q-replicate --data-parallel-hybrid-lb|-dph!--no-data-parallel-hybrid-lb
  --data-parallel-external-lb|-dpe!--no-data-parallel-external-lb --data-parallel-multi-port-external-lb|-dpm
  --enable-hc-sp!--disable-hc-sp --enable-expert-parallel|-ep!--disable-expert-parallel
  --enable-batch-sharded-sampling!--disable-batch-sharded-sampling
  --enable-ep-weight-filter!--disable-ep-weight-filter --enable-dbo!--disable-dbo
  --enable-shm-tensor-arena!--disable-shm-tensor-arena --enable-elastic-ep!--disable-elastic-ep
  --disable-nccl-for-dp-synchronization!--enable-nccl-for-dp-synchronization --enable-eplb!--disable-eplb
  --ray-workers-use-nsight!--no-ray-workers-use-nsight --disable-custom-all-reduce!--enable-custom-all-reduce
  --enable-fault-tolerance!--disable-fault-tolerance --enable-prefix-caching!--disable-prefix-caching
  --kv-sharing-fast-prefill!--no-kv-sharing-fast-prefill --swa-bounded-replay!--no-swa-bounded-replay
  --enable-mamba-shared-prefix-checkpoint!--disable-mamba-shared-prefix-checkpoint --use-replayssm!--no-use-replayssm
  --language-model-only!--no-language-model-only --enable-mm-embeds!--disable-mm-embeds
  --mm-encoder-only!--no-mm-encoder-only --interleave-mm-strings!--no-interleave-mm-strings
  --skip-mm-profiling!--no-skip-mm-profiling --mm-device-do-normalize!--no-mm-device-do-normalize
  --enable-lora!--disable-lora --enable-tower-connector-lora!--disable-tower-connector-lora
  --fully-sharded-loras!--no-fully-sharded-loras --specialize-active-lora!--no-specialize-active-lora
  --enable-mixed-moe-lora-format!--disable-mixed-moe-lora-format --enable-moe-shared-loras!--disable-moe-shared-loras
  --kv-cache-metrics!--no-kv-cache-metrics --cudagraph-metrics!--no-cudagraph-metrics
  --enable-layerwise-nvtx-tracing!--disable-layerwise-nvtx-tracing --enable-mfu-metrics!--disable-mfu-metrics
  --enable-logging-iteration-details!--disable-logging-iteration-details
  --jit-monitor-verbose!--no-jit-monitor-verbose
  --long-prefill-token-threshold-adaptive!--no-long-prefill-token-threshold-adaptive
  --enable-chunked-prefill!--disable-chunked-prefill --disable-chunked-mm-input!--enable-chunked-mm-input
  --scheduler-reserve-full-isl!--no-scheduler-reserve-full-isl
  --disable-hybrid-kv-cache-manager!--enable-hybrid-kv-cache-manager --async-scheduling!--no-async-scheduling
  --enable-flashinfer-autotune!--disable-flashinfer-autotune --monokernel!--no-monokernel --disable-log-stats
  --aggregate-engine-logging --fail-on-environ-validation!--no-fail-on-environ-validation
  --enable-log-requests!--disable-log-requests
whole: --api-server-count|-asc --max-log-len --sse-keep-alive-interval --port --grpc-port
  --data-parallel-supervisor-port --dp-supervisor-probe-failure-threshold --ssl-cert-reqs
  --h11-max-incomplete-event-size --h11-max-header-count --seed --max-model-len --max-logprobs --renderer-num-workers
  --safetensors-prefetch-num-threads --safetensors-prefetch-block-size --mamba-cache-philox-rounds
  --pipeline-parallel-size|-pp --master-port --nnodes|-n --node-rank|-r --distributed-timeout-seconds
  --cpu-distributed-timeout-seconds --tensor-parallel-size|-tp --decode-context-parallel-size|-dcp
  --dcp-kv-cache-interleave-size --cp-kv-cache-interleave-size --prefill-context-parallel-size|-pcp
  --data-parallel-size|-dp --data-parallel-rank|-dpn --data-parallel-start-rank|-dpr --data-parallel-size-local|-dpl
  --data-parallel-rpc-port|-dpp --ubatch-size --elastic-ep-max-dp-size --dbo-decode-token-threshold --dp-sync-interval
  --dbo-prefill-token-threshold --max-parallel-loading-workers --block-size --kv-cache-memory-bytes
  --num-gpu-blocks-override --prefix-cache-retention-interval --mamba-block-size --prefix-match-unit
  --replayssm-buffer-len --offload-group-size --offload-num-in-group --offload-prefetch-step
  --mm-shm-cache-max-object-size-mb --max-loras --max-lora-rank --max-cpu-loras --max-lora-cls-labels
  --max-num-batched-tokens --max-num-scheduled-tokens --max-num-seqs --max-num-active-seqs --max-num-queued-reqs
  --max-num-queued-tokens --long-prefill-token-threshold --prefill-schedule-interval --stream-interval
  --max-cudagraph-capture-size --spec-tokens --shutdown-timeout
value: --config --chat-template --chat-template-content-format --response-role --tool-call-parser --tool-parser-plugin
  --tool-strict-level --tool-server --cohere-format --anthropic-disabled-thinking-effort --fingerprint-mode
  --fingerprint-value --host --dp-supervisor-probe-interval-s --dp-supervisor-probe-timeout-s --uds
  --uvicorn-log-level --disable-access-log-for-endpoints --ssl-keyfile --ssl-certfile --ssl-ca-certs --ssl-ciphers
  --root-path --middleware --model --runner --convert --tokenizer --tokenizer-mode --dtype --hf-config-path
  --allowed-local-media-path --revision --code-revision --tokenizer-revision --quantization|-q --logprobs-mode
  --config-format --hf-token --generation-config --sleep-mode-backend --model-impl --io-processor-plugin --load-format
  --download-dir --safetensors-load-strategy --pt-load-map-location --attention-backend --mamba-backend
  --mamba-ssu-algorithm --reasoning-parser --reasoning-parser-plugin --distributed-executor-backend --master-addr
  --device-ids --dcp-comm-backend --data-parallel-address|-dpa --data-parallel-backend|-dpb --all2all-backend
  --expert-placement-strategy --worker-cls --worker-extension-cls --gpu-memory-utilization|--device-memory-utilization
  --kv-cache-dtype --prefix-caching-hash-algo --mamba-cache-dtype --mamba-ssm-cache-dtype --mamba-cache-mode
  --kv-offloading-size --kv-offloading-backend --offload-backend --cpu-offload-gb --mm-processor-cache-gb
  --mm-processor-cache-type --mm-hasher-algorithm --mm-encoder-tp-mode --mm-encoder-attn-backend
  --mm-encoder-attn-dtype --mm-encoder-fp8-scale-path --mm-encoder-fp8-scale-save-path
  --mm-encoder-fp8-scale-save-margin --video-pruning-rate --video-pruning-method --mm-tensor-ipc --mm-processor-device
  --mm-ipc-gpu-memory-gb --lora-dtype --log-level --log-config-file --show-hidden-metrics-for-version
  --otlp-traces-endpoint --per-request-spec-decode-metrics --kv-cache-metrics-sample --jit-monitor-mode
  --scheduling-policy --scheduler-cls --watermark --moe-backend --linear-backend --sparse-indexer-topk-backend
  --spec-method --spec-model --optimization-level --performance-mode --gdn-prefill-backend --kda-prefill-backend
  --kda-decode-backend
list: --lora-modules --api-key --allowed-media-domains --served-model-name --sleep-preserve-parameter-names
  --logits-processors --ignore-patterns --numa-bind-nodes --numa-bind-cpus --kv-cache-dtype-skip-layers
  --cpu-offload-params --offload-params --lora-target-modules --collect-detailed-traces --cudagraph-capture-sizes
json: --default-chat-template-kwargs --reasoning-effort-map --allowed-origins --allowed-methods --allowed-headers
  --quantization-config --hf-overrides --model-class-overrides --pooler-config --override-generation-config
  --model-loader-extra-config --eplb-config --fault-tolerance-config --limit-mm-per-prompt --media-io-kwargs
  --mm-processor-kwargs --default-mm-loras --logging-config --custom-histogram-buckets --ir-op-priority
  --speculative-config|-sc --watermark-config --diffusion-config|-dc --kv-transfer-config --kv-events-config
  --ec-transfer-config --ec-manager-config --compilation-config|-cc --attention-config|-ac --engram-config
  --reasoning-config --kernel-config --additional-config --structured-outputs-config --aux-output-config
  --profiler-config --watchdog-config --weight-transfer-config
"""

_GONE = """
--calculate-kv-scales > dynamic FP8 KV scales dropped; use calibrated scales or *_per_token_head types
--cuda-graph-sizes > use --cudagraph-capture-sizes
--device > platform is detected
--disable-async-output-proc >
--disable-frontend-multiprocessing > no replacement needed
--disable-logprobs-during-spec-decoding >
--disable-mm-preprocessor-cache > use --mm-processor-cache-gb 0
--enable-bf16x3-router-gemm >
--enable-lora-bias >
--enable-mamba-fine-grained-prefix-cache >
--enable-multimodal-encoder-data-parallel > use --mm-encoder-tp-mode data
--enable-prompt-adapter >
--enable-reasoning > implied by --reasoning-parser
--eplb-log-balancedness >
--eplb-step-interval >
--eplb-window-size >
--expand-tools-even-if-tool-choice-none >
--guided-decoding-backend > use --structured-outputs-config.backend
--guided-decoding-disable-additional-properties >
--guided-decoding-disable-any-whitespace >
--guided-decoding-disable-fallback >
--logits-processor-pattern >
--long-lora-scaling-factors >
--lora-extra-vocab-size >
--max-long-partial-prefills >
--max-num-partial-prefills > no replacement
--max-prompt-adapter-token >
--max-prompt-adapters >
--max-seq-len-to-capture > use --max-cudagraph-capture-size
--multi-step-stream-outputs >
--ngram-prompt-lookup-max >
--ngram-prompt-lookup-min >
--num-lookahead-slots > V0 only
--num-redundant-experts >
--num-scheduler-steps > V0 only
--num-speculative-tokens > use --speculative-config or --spec-tokens
--override-attention-dtype >
--override-neuron-config >
--override-pooler-config > use --pooler-config
--preemption-mode > V0 only
--prompt-adapters >
--qlora-adapter-name-or-path >
--quantization-param-path >
--rope-scaling > use --hf-overrides
--rope-theta > use --hf-overrides
--scheduler-delay-factor > V0 only
--spec-decoding-acceptance-method >
--speculative-disable-by-batch-size >
--speculative-disable-mqa-scorer >
--speculative-draft-tensor-parallel-size >
--speculative-max-model-len >
--speculative-model > use --speculative-config
--speculative-model-quantization >
--swap-space > host swap of preempted KV; V1 recomputes instead; drop it (use --kv-offloading-size)
--task > use --runner/--convert
--tokenizer-pool-extra-config >
--tokenizer-pool-size >
--tokenizer-pool-type >
--typical-acceptance-sampler-posterior-alpha >
--typical-acceptance-sampler-posterior-threshold >
--use-gpu-for-pooling-score >
--use-v2-block-manager > V0 only
--worker-use-ray > use --distributed-executor-backend ray
"""


def _rows() -> Iterator[tuple[str, FlagRow]]:
    """Each option and its kind."""
    kind = ""
    for word in _ROWS.split():
        if word.endswith(":"):
            kind = word[:-1]
            continue
        names, _, off = word.partition("!")
        name, *aliases = names.split("|")
        negated = tuple(off.split("|")) if off else ()
        yield kind, FlagRow(name=name, aliases=tuple(aliases), value=kind != "switch", negated=negated)


def _table() -> FlagTable:
    table: dict[str, FlagRow] = {}
    for _, row in _rows():
        table |= dict.fromkeys((row.name, *row.aliases, *row.negated), row)
    for line in _GONE.strip().splitlines():
        gone, _, instead = line.partition(">")
        row = FlagRow(name=gone.strip(), removed=instead.strip())
        table[row.name] = row
    return table


def _of_kind(wanted: str) -> frozenset[str]:
    return frozenset(row.name for kind, row in _rows() if kind == wanted)


LISTS, JSON, NUMBERS = _of_kind("list"), _of_kind("json"), _of_kind("whole")
FLAGS: FlagTable = _table()
