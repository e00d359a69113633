"""Every option of `vllm serve` 0.33.0, dumped from its parser, and those that earlier releases had.

One line an option: `value` takes one argument, `json` one that is JSON (or has dotted keys), `whole` a whole number, `list` one
or more, `switch` none (or true/false after `=`); other spellings follow the name, and after `!` the one that switches it off.
`_GONE`: the name, and what to use today.
"""

from llmops.domain.engine import FlagRow, FlagTable

_ROWS = """
switch --headless
whole  --api-server-count -asc
value  --config
switch --grpc
list   --lora-modules
value  --chat-template
value  --chat-template-content-format
switch --trust-request-chat-template ! --no-trust-request-chat-template
switch --trust-request-mm-kwargs ! --no-trust-request-mm-kwargs
json   --default-chat-template-kwargs
json   --reasoning-effort-map
value  --response-role
switch --return-tokens-as-token-ids ! --no-return-tokens-as-token-ids
switch --enable-auto-tool-choice ! --disable-auto-tool-choice
switch --exclude-tools-when-tool-choice-none ! --no-exclude-tools-when-tool-choice-none
value  --tool-call-parser
value  --tool-parser-plugin
value  --tool-strict-level
value  --tool-server
whole  --max-log-len
switch --enable-prompt-tokens-details ! --disable-prompt-tokens-details
switch --enable-per-request-metrics ! --disable-per-request-metrics
switch --enable-server-load-tracking ! --disable-server-load-tracking
switch --enable-force-include-usage ! --disable-force-include-usage
whole  --sse-keep-alive-interval
switch --enable-tokenizer-info-endpoint ! --disable-tokenizer-info-endpoint
switch --enable-log-outputs ! --disable-log-outputs
switch --enable-log-deltas ! --disable-log-deltas
switch --cohere-is-reasoning-model ! --no-cohere-is-reasoning-model
value  --cohere-format
value  --anthropic-disabled-thinking-effort
switch --log-error-stack ! --no-log-error-stack
switch --tokens-only ! --no-tokens-only
switch --enable-scale-out ! --disable-scale-out
value  --fingerprint-mode
value  --fingerprint-value
value  --host
whole  --port
whole  --grpc-port
whole  --data-parallel-supervisor-port
value  --dp-supervisor-probe-interval-s
value  --dp-supervisor-probe-timeout-s
whole  --dp-supervisor-probe-failure-threshold
value  --uds
value  --uvicorn-log-level
switch --disable-uvicorn-access-log ! --enable-uvicorn-access-log
value  --disable-access-log-for-endpoints
switch --allow-credentials ! --no-allow-credentials
json   --allowed-origins
json   --allowed-methods
json   --allowed-headers
list   --api-key
value  --ssl-keyfile
value  --ssl-certfile
value  --ssl-ca-certs
switch --enable-ssl-refresh ! --disable-ssl-refresh
whole  --ssl-cert-reqs
value  --ssl-ciphers
value  --root-path
value  --middleware
switch --enable-request-id-headers ! --disable-request-id-headers
switch --disable-fastapi-docs ! --enable-fastapi-docs
whole  --h11-max-incomplete-event-size
whole  --h11-max-header-count
switch --enable-offline-docs ! --disable-offline-docs
switch --enable-flash-late-interaction ! --disable-flash-late-interaction
value  --model
value  --runner
value  --convert
value  --tokenizer
value  --tokenizer-mode
switch --trust-remote-code ! --no-trust-remote-code
value  --dtype
whole  --seed
value  --hf-config-path
value  --allowed-local-media-path
list   --allowed-media-domains
value  --revision
value  --code-revision
value  --tokenizer-revision
whole  --max-model-len
value  --quantization -q
json   --quantization-config
switch --allow-deprecated-quantization ! --no-allow-deprecated-quantization
switch --enforce-eager ! --no-enforce-eager
switch --enable-return-routed-experts ! --disable-return-routed-experts
switch --return-sampling-mask ! --no-return-sampling-mask
whole  --max-logprobs
value  --logprobs-mode
switch --use-fp64-gumbel ! --no-use-fp64-gumbel
switch --enable-trace-replay ! --disable-trace-replay
switch --disable-sliding-window ! --enable-sliding-window
switch --disable-cascade-attn ! --enable-cascade-attn
switch --skip-tokenizer-init ! --no-skip-tokenizer-init
switch --enable-prompt-embeds ! --disable-prompt-embeds
list   --served-model-name
value  --config-format
value  --hf-token
json   --hf-overrides
json   --model-class-overrides
json   --pooler-config
value  --generation-config
json   --override-generation-config
switch --enable-sleep-mode ! --disable-sleep-mode
value  --sleep-mode-backend
switch --sleep-mode-offload-cudagraph ! --no-sleep-mode-offload-cudagraph
list   --sleep-preserve-parameter-names
switch --enable-cumem-allocator ! --disable-cumem-allocator
switch --enable-nccl-comm-suspend ! --disable-nccl-comm-suspend
value  --model-impl
list   --logits-processors
value  --io-processor-plugin
whole  --renderer-num-workers
value  --load-format
value  --download-dir
value  --safetensors-load-strategy
whole  --safetensors-prefetch-num-threads
whole  --safetensors-prefetch-block-size
json   --model-loader-extra-config
list   --ignore-patterns
switch --use-tqdm-on-load ! --no-use-tqdm-on-load
value  --pt-load-map-location
value  --attention-backend
value  --mamba-backend
value  --mamba-ssu-algorithm
switch --enable-mamba-cache-stochastic-rounding ! --disable-mamba-cache-stochastic-rounding
whole  --mamba-cache-philox-rounds
value  --reasoning-parser
value  --reasoning-parser-plugin
value  --distributed-executor-backend
whole  --pipeline-parallel-size -pp
value  --master-addr
whole  --master-port
whole  --nnodes -n
whole  --node-rank -r
whole  --distributed-timeout-seconds
whole  --cpu-distributed-timeout-seconds
switch --numa-bind ! --no-numa-bind
list   --numa-bind-nodes
list   --numa-bind-cpus
value  --device-ids
whole  --tensor-parallel-size -tp
whole  --decode-context-parallel-size -dcp
value  --dcp-comm-backend
switch --dcp-q-replicate ! --no-dcp-q-replicate
whole  --dcp-kv-cache-interleave-size
whole  --cp-kv-cache-interleave-size
whole  --prefill-context-parallel-size -pcp
whole  --data-parallel-size -dp
whole  --data-parallel-rank -dpn
whole  --data-parallel-start-rank -dpr
whole  --data-parallel-size-local -dpl
value  --data-parallel-address -dpa
whole  --data-parallel-rpc-port -dpp
value  --data-parallel-backend -dpb
switch --data-parallel-hybrid-lb -dph ! --no-data-parallel-hybrid-lb
switch --data-parallel-external-lb -dpe ! --no-data-parallel-external-lb
switch --data-parallel-multi-port-external-lb -dpm
switch --enable-hc-sp ! --disable-hc-sp
switch --enable-expert-parallel -ep ! --disable-expert-parallel
switch --enable-batch-sharded-sampling ! --disable-batch-sharded-sampling
switch --enable-ep-weight-filter ! --disable-ep-weight-filter
value  --all2all-backend
switch --enable-dbo ! --disable-dbo
switch --enable-shm-tensor-arena ! --disable-shm-tensor-arena
whole  --ubatch-size
switch --enable-elastic-ep ! --disable-elastic-ep
whole  --elastic-ep-max-dp-size
whole  --dbo-decode-token-threshold
whole  --dp-sync-interval
whole  --dbo-prefill-token-threshold
switch --disable-nccl-for-dp-synchronization ! --enable-nccl-for-dp-synchronization
switch --enable-eplb ! --disable-eplb
json   --eplb-config
value  --expert-placement-strategy
whole  --max-parallel-loading-workers
switch --ray-workers-use-nsight ! --no-ray-workers-use-nsight
switch --disable-custom-all-reduce ! --enable-custom-all-reduce
value  --worker-cls
value  --worker-extension-cls
switch --enable-fault-tolerance ! --disable-fault-tolerance
json   --fault-tolerance-config
whole  --block-size
value  --gpu-memory-utilization --device-memory-utilization
whole  --kv-cache-memory-bytes
value  --kv-cache-dtype
whole  --num-gpu-blocks-override
switch --enable-prefix-caching ! --disable-prefix-caching
value  --prefix-caching-hash-algo
whole  --prefix-cache-retention-interval
list   --kv-cache-dtype-skip-layers
switch --kv-sharing-fast-prefill ! --no-kv-sharing-fast-prefill
switch --swa-bounded-replay ! --no-swa-bounded-replay
value  --mamba-cache-dtype
value  --mamba-ssm-cache-dtype
whole  --mamba-block-size
whole  --prefix-match-unit
value  --mamba-cache-mode
switch --enable-mamba-shared-prefix-checkpoint ! --disable-mamba-shared-prefix-checkpoint
whole  --replayssm-buffer-len
switch --use-replayssm ! --no-use-replayssm
value  --kv-offloading-size
value  --kv-offloading-backend
value  --offload-backend
value  --cpu-offload-gb
list   --cpu-offload-params
whole  --offload-group-size
whole  --offload-num-in-group
whole  --offload-prefetch-step
list   --offload-params
switch --language-model-only ! --no-language-model-only
json   --limit-mm-per-prompt
switch --enable-mm-embeds ! --disable-mm-embeds
json   --media-io-kwargs
json   --mm-processor-kwargs
value  --mm-processor-cache-gb
value  --mm-processor-cache-type
value  --mm-hasher-algorithm
whole  --mm-shm-cache-max-object-size-mb
switch --mm-encoder-only ! --no-mm-encoder-only
value  --mm-encoder-tp-mode
value  --mm-encoder-attn-backend
value  --mm-encoder-attn-dtype
value  --mm-encoder-fp8-scale-path
value  --mm-encoder-fp8-scale-save-path
value  --mm-encoder-fp8-scale-save-margin
switch --interleave-mm-strings ! --no-interleave-mm-strings
switch --skip-mm-profiling ! --no-skip-mm-profiling
value  --video-pruning-rate
value  --video-pruning-method
value  --mm-tensor-ipc
value  --mm-processor-device
value  --mm-ipc-gpu-memory-gb
switch --mm-device-do-normalize ! --no-mm-device-do-normalize
switch --enable-lora ! --disable-lora
whole  --max-loras
whole  --max-lora-rank
value  --lora-dtype
switch --enable-tower-connector-lora ! --disable-tower-connector-lora
whole  --max-cpu-loras
switch --fully-sharded-loras ! --no-fully-sharded-loras
list   --lora-target-modules
json   --default-mm-loras
switch --specialize-active-lora ! --no-specialize-active-lora
switch --enable-mixed-moe-lora-format ! --disable-mixed-moe-lora-format
switch --enable-moe-shared-loras ! --disable-moe-shared-loras
whole  --max-lora-cls-labels
json   --logging-config
value  --log-level
value  --log-config-file
value  --show-hidden-metrics-for-version
value  --otlp-traces-endpoint
list   --collect-detailed-traces
value  --per-request-spec-decode-metrics
switch --kv-cache-metrics ! --no-kv-cache-metrics
value  --kv-cache-metrics-sample
json   --custom-histogram-buckets
switch --cudagraph-metrics ! --no-cudagraph-metrics
switch --enable-layerwise-nvtx-tracing ! --disable-layerwise-nvtx-tracing
switch --enable-mfu-metrics ! --disable-mfu-metrics
switch --enable-logging-iteration-details ! --disable-logging-iteration-details
value  --jit-monitor-mode
switch --jit-monitor-verbose ! --no-jit-monitor-verbose
whole  --max-num-batched-tokens
whole  --max-num-scheduled-tokens
whole  --max-num-seqs
whole  --max-num-active-seqs
whole  --max-num-queued-reqs
whole  --max-num-queued-tokens
whole  --long-prefill-token-threshold
switch --long-prefill-token-threshold-adaptive ! --no-long-prefill-token-threshold-adaptive
value  --scheduling-policy
switch --enable-chunked-prefill ! --disable-chunked-prefill
switch --disable-chunked-mm-input ! --enable-chunked-mm-input
value  --scheduler-cls
switch --scheduler-reserve-full-isl ! --no-scheduler-reserve-full-isl
value  --watermark
whole  --prefill-schedule-interval
switch --disable-hybrid-kv-cache-manager ! --enable-hybrid-kv-cache-manager
switch --async-scheduling ! --no-async-scheduling
whole  --stream-interval
list   --cudagraph-capture-sizes
whole  --max-cudagraph-capture-size
json   --ir-op-priority
switch --enable-flashinfer-autotune ! --disable-flashinfer-autotune
switch --monokernel ! --no-monokernel
value  --moe-backend
value  --linear-backend
value  --sparse-indexer-topk-backend
json   --speculative-config -sc
value  --spec-method
value  --spec-model
whole  --spec-tokens
json   --watermark-config
json   --diffusion-config -dc
json   --kv-transfer-config
json   --kv-events-config
json   --ec-transfer-config
json   --ec-manager-config
json   --compilation-config -cc
json   --attention-config -ac
json   --engram-config
json   --reasoning-config
json   --kernel-config
json   --additional-config
json   --structured-outputs-config
json   --aux-output-config
json   --profiler-config
json   --watchdog-config
value  --optimization-level
value  --performance-mode
json   --weight-transfer-config
switch --disable-log-stats
switch --aggregate-engine-logging
switch --fail-on-environ-validation ! --no-fail-on-environ-validation
whole  --shutdown-timeout
value  --gdn-prefill-backend
value  --kda-prefill-backend
value  --kda-decode-backend
switch --enable-log-requests ! --disable-log-requests
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


def _table() -> FlagTable:
    table: dict[str, FlagRow] = {}
    for line in _ROWS.strip().splitlines():
        kind, name, *spellings = line.split()
        aliases, _, negated = " ".join(spellings).partition("!")
        row = FlagRow(name=name, aliases=tuple(aliases.split()), value=kind != "switch", negated=tuple(negated.split()))
        table |= dict.fromkeys((row.name, *row.aliases, *row.negated), row)
    for line in _GONE.strip().splitlines():
        gone, _, instead = line.partition(">")
        row = FlagRow(name=gone.strip(), removed=instead.strip())
        table[row.name] = row
    return table


def _of_kind(kind: str) -> frozenset[str]:
    return frozenset(line.split()[1] for line in _ROWS.strip().splitlines() if line.startswith(kind))


LISTS, JSON, NUMBERS = _of_kind("list "), _of_kind("json "), _of_kind("whole ")
FLAGS: FlagTable = _table()
