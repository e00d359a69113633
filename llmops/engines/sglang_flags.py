"""Every option of SGLang 0.5.23's server, dumped from its parser. One line an option, as `option_line.table` reads them."""

from llmops.engines.option_line import table

_ROWS = """
value  --model-path --model
value  --tokenizer-path
value  --tokenizer-mode
value  --tokenizer-backend
whole  --tokenizer-worker-num
whole  --detokenizer-worker-num
switch --skip-tokenizer-init
value  --load-format
value  --model-loader-extra-config
switch --trust-remote-code
human  --context-length
switch --is-embedding
switch --enable-multimodal
value  --revision
value  --model-impl
value  --model-config-parser
value  --json-model-override-args
value  --dtype
value  --quantization
value  --quantization-param-path
value  --kv-cache-dtype
switch --enable-fp32-lm-head
value  --modelopt-quant
value  --modelopt-checkpoint-restore-path
value  --modelopt-checkpoint-save-path
value  --modelopt-export-path
switch --quantize-and-serve
value  --rl-quant-profile
value  --enable-tf32-matmul ! --no-enable-tf32-matmul
float  --mem-fraction-static
whole  --max-running-requests
whole  --max-queued-requests
human  --max-total-tokens
whole  --chunked-prefill-size
whole  --prefill-decode-interval
switch --enable-dynamic-chunking
human  --max-prefill-tokens
whole  --prefill-max-requests
value  --schedule-policy
switch --enable-priority-scheduling
switch --disable-priority-preemption
whole  --default-priority-value
switch --abort-on-priority-when-disabled
switch --schedule-low-priority-values-first
whole  --priority-scheduling-preemption-threshold
value  --retraction-policy
float  --schedule-conservativeness
whole  --page-size
whole  --c128-page-size
float  --swa-full-tokens-ratio
switch --disable-hybrid-swa-memory
value  --radix-eviction-policy
value  --radix-eviction-policy-config
switch --prefill-only-disable-kv-cache
switch --disable-radix-cache
switch --enable-page-major-kv-layout
switch --enable-unified-memory
switch --disable-chunked-prefix-cache
switch --disable-overlap-schedule
whole  --num-continuous-decode-steps
whole  --scheduler-recv-interval
switch --enable-mixed-chunk
whole  --nccl-port
whole  --dist-timeout
value  --dist-init-addr --nccl-init-addr
whole  --gated-launch-port
whole  --nnodes
whole  --node-rank
whole  --tp-size --tensor-parallel-size
whole  --dcp-size --decode-context-parallel-size
whole  --pp-size --pipeline-parallel-size
whole  --pp-max-micro-batch-size
whole  --pp-async-batch-depth
whole  --dp-size --data-parallel-size
whole  --attn-dp-size --attention-data-parallel-size
value  --load-balance-method
whole  --attn-cp-size --attention-context-parallel-size
whole  --moe-dp-size --moe-data-parallel-size
whole  --dwdp-size
value  --dcp-comm-backend
value  --dcp-replicate-q-proj ! --no-dcp-replicate-q-proj
switch --enable-prefill-cp
value  --cp-strategy
switch --enable-dsa-cache-layer-split
switch --enable-cp-decode-attn-tp
switch --enable-kv-cache-sharding
switch --enable-dp-attention-local-control-broadcast
switch --enable-dp-lm-head
value  --enable-tp-lm-head-all-to-all ! --no-enable-tp-lm-head-all-to-all
switch --enable-attn-tp-input-scattered
switch --enable-shared-experts-attn-tp
whole  --shared-experts-tp-size
switch --enable-dense-mlp-attn-tp
switch --enable-layernorm-sp
switch --disable-attn-tp-gather
switch --enable-p2p-check
value  --device
whole  --base-gpu-id
whole  --gpu-id-step
whole  --random-seed
switch --mlx-enable-sampling
float  --watchdog-timeout
float  --soft-watchdog-timeout
switch --sleep-on-idle
switch --use-ray
list   --numa-node
list   --gc-threshold
value  --host
whole  --port
value  --fastapi-root-path
switch --smg-grpc-mode
switch --grpc-mode
whole  --grpc-port
value  --sidecar
value  --sidecar-args
switch --skip-server-warmup
value  --warmups
switch --enable-http2
whole  --http2-max-concurrent-streams
whole  --http2-initial-connection-window-size
value  --ssl-keyfile
value  --ssl-certfile
value  --ssl-ca-certs
value  --ssl-keyfile-password
switch --enable-ssl-refresh
value  --api-key
value  --admin-api-key
value  --served-model-name
value  --weight-version
value  --chat-template
switch --trust-request-chat-template
value  --hf-chat-template-name
value  --completion-template
value  --file-storage-path
switch --enable-cache-report
switch --return-input-ids
switch --return-output-ids
value  --default-chat-template-kwargs
switch --strip-thinking-cache
switch --enable-strict-thinking
value  --tool-server
value  --sampling-defaults
whole  --asr-max-buffer-seconds
whole  --asr-max-concurrent-sessions
value  --preferred-sampling-params
switch --allow-auto-truncate
whole  --stream-interval
whole  --batch-notify-size
switch --stream-response-default-include-usage
switch --incremental-streaming-output
switch --enable-streaming-session
switch --enable-session-radix-cache
value  --log-level
value  --log-level-http
switch --log-requests
whole  --log-requests-level
value  --log-requests-format
list   --log-requests-target
list   --uvicorn-access-log-exclude-prefixes
value  --crash-dump-folder
switch --show-time-cost
switch --enable-metrics
whole  --smg-http-sidecar-port --grpc-http-sidecar-port
switch --enable-mfu-metrics
switch --enable-metrics-for-all-schedulers
whole  --load-snapshot-publish-interval
value  --tokenizer-metrics-custom-labels-header
list   --tokenizer-metrics-allowed-custom-labels
value  --extra-metric-labels
list   --bucket-time-to-first-token
list   --bucket-inter-token-latency
list   --bucket-e2e-request-latency
list   --prompt-tokens-buckets
list   --generation-tokens-buckets
float  --gc-warning-threshold-secs
whole  --decode-log-interval
switch --enable-request-time-stats-logging
value  --kv-events-config
value  --load-publish-endpoint
switch --enable-forward-pass-metrics
value  --forward-pass-metrics-worker-id
value  --forward-pass-metrics-ipc-name
switch --enable-trace
value  --trace-modules
value  --otlp-traces-endpoint
switch --export-metrics-to-file
value  --export-metrics-to-file-dir
value  --constrained-json-whitespace-pattern
switch --constrained-json-disable-any-whitespace
whole  --constrained-json-max-whitespace-cnt
value  --attention-backend
value  --decode-attention-backend
switch --enable-lean-attention
value  --prefill-attention-backend
value  --grammar-backend
value  --radix-cache-backend
value  --mm-attention-backend
value  --fp8-gemm-backend
value  --fp4-gemm-backend
value  --bf16-gemm-backend
value  --dsa-prefill-backend
value  --dsv4-prefill-backend
value  --dsa-decode-backend
value  --dsa-paged-mqa-logits-backend
value  --dsa-topk-backend
switch --disable-flashinfer-autotune
list   --flashinfer-autotune-skip-ops
value  --mamba-backend
value  --cuda-graph-config
value  --cuda-graph-backend-decode
value  --cuda-graph-backend-prefill
whole  --cuda-graph-max-bs-decode
whole  --cuda-graph-max-bs-prefill
list   --cuda-graph-bs-decode
list   --cuda-graph-bs-prefill
human  --cuda-graph-prefill-max-context --context-bucket
switch --disable-prefill-cuda-graph
switch --disable-decode-cuda-graph
switch --disable-cuda-graph-padding
switch --enable-profile-cuda-graph
switch --enable-cudagraph-gc
switch --debug-cuda-graph
switch --enable-layerwise-nvtx-marker
switch --enable-nccl-nvls
switch --enable-symm-mem
switch --triton-attention-reduce-in-fp32
whole  --triton-attention-num-kv-splits
whole  --triton-attention-split-tile-size
switch --flashinfer-mla-disable-ragged
value  --enable-fused-qk-norm-rope ! --no-enable-fused-qk-norm-rope
switch --enable-precise-embedding-interpolation
switch --enable-fused-moe-sum-all-reduce
switch --enable-deepseek-v4-fp4-indexer
switch --disable-custom-all-reduce
switch --enable-mscclpp
switch --enable-torch-symm-mem
switch --enable-scattered-sconv
switch --pre-warm-nccl
value  --boundary-reduction
switch --enable-quant-communications
switch --enforce-disable-flashinfer-allreduce-fusion
value  --flashinfer-allreduce-fusion-backend
switch --enable-aiter-allreduce-fusion
switch --enable-torch-compile
switch --enable-torch-compile-debug-mode
whole  --torch-compile-max-bs
value  --speculative-algorithm
value  --uno-lora-path
value  --speculative-draft-model-path --speculative-draft-model
value  --speculative-draft-model-revision
value  --speculative-draft-load-format
whole  --speculative-num-steps
whole  --speculative-eagle-topk
whole  --speculative-num-draft-tokens
whole  --speculative-dflash-block-size
whole  --speculative-dspark-block-size
value  --speculative-dspark-sps-table-path
value  --speculative-dspark-confidence-sts-path
switch --speculative-dspark-align-verify-tokens-to-graph-tier
float  --speculative-accept-threshold-single
float  --speculative-accept-threshold-acc
switch --speculative-use-rejection-sampling
value  --speculative-token-map
value  --speculative-attention-mode
value  --speculative-draft-attention-backend
value  --speculative-dsa-topk-backend
value  --speculative-draft-kv-cache-dtype
whole  --speculative-draft-window-size
value  --speculative-moe-runner-backend
value  --speculative-moe-a2a-backend
value  --speculative-enable-w4a4-mxfp4-megamoe ! --no-speculative-enable-w4a4-mxfp4-megamoe
value  --speculative-draft-model-quantization
switch --enable-multi-layer-eagle
switch --speculative-adaptive
value  --speculative-adaptive-config
value  --decoupled-spec-bind-endpoint
value  --decoupled-spec-connect-endpoints
whole  --decoupled-spec-rank
value  --decoupled-spec-role
value  --spec-trace-dir
whole  --speculative-ngram-min-bfs-breadth
whole  --speculative-ngram-max-bfs-breadth
value  --speculative-ngram-match-type
whole  --speculative-ngram-max-trie-depth
whole  --speculative-ngram-capacity
value  --speculative-ngram-external-corpus-path
whole  --speculative-ngram-external-sam-budget
whole  --speculative-ngram-external-corpus-max-tokens
whole  --ep-size --expert-parallel-size --ep
value  --moe-a2a-backend
switch --enable-w4a4-mxfp4-megamoe
value  --deepep-v2-mode
value  --moe-runner-backend
value  --flashinfer-mxfp4-moe-precision
value  --deepep-mode
whole  --fuseep-mode
value  --deepep-dispatcher-output-dtype
whole  --ep-num-redundant-experts
value  --ep-dispatch-algorithm
value  --init-expert-location
switch --enable-eplb
value  --eplb-algorithm
whole  --eplb-rebalance-num-iterations
whole  --eplb-rebalance-layers-per-chunk
float  --eplb-min-rebalancing-utilization-threshold
value  --expert-distribution-recorder-mode
whole  --expert-distribution-recorder-buffer-size
value  --expert-balancedness-report-mode
value  --deepep-config
whole  --moe-dense-tp-size
value  --elastic-ep-backend
switch --enable-elastic-expert-backup
value  --mooncake-ib-device
switch --enable-waterfill
value  --elastic-ep-join-mode
whole  --elastic-ep-join-rank-offset
whole  --elastic-ep-initial-size
whole  --max-ep-size
float  --elastic-ep-scale-timeout
switch --disable-flashinfer-cutlass-moe-fp4-allgather
switch --disable-shared-experts-fusion
switch --enforce-shared-experts-fusion
whole  --max-mamba-cache-size
value  --mamba-ssm-dtype
whole  --mamba-max-states-per-path
switch --enable-mamba-cache-stochastic-rounding
whole  --mamba-cache-philox-rounds
float  --mamba-full-memory-ratio
value  --mamba-radix-cache-strategy
whole  --mamba-track-interval
switch --enable-int8-mamba-checkpoint
whole  --int8-mamba-ckpt-size
value  --linear-attn-backend
value  --linear-attn-decode-backend
value  --linear-attn-prefill-backend
value  --linear-attn-verify-backend
switch --enable-linear-replayssm
whole  --linear-replayssm-cache-len
switch --enable-linear-replayssm-spec
switch --enable-hierarchical-cache --enable-hicache
value  --hicache-host-memory-mode
float  --hicache-ratio
whole  --hicache-size
value  --hicache-write-policy
value  --hicache-io-backend
value  --hicache-mem-layout
value  --hicache-storage-backend
value  --hicache-storage-prefetch-policy
value  --hicache-storage-backend-extra-config
whole  --hicache-storage-prefetch-retry-poll-interval
whole  --hicache-storage-prefetch-retry-max-attempts
switch --enable-unified-cache-external-linker
value  --unified-cache-external-linker-backend
switch --enable-hisparse
value  --hisparse-config --hierarchical-sparse-attention-extra-config
switch --enable-broadcast-mm-inputs-process
switch --enable-prefix-mm-cache
value  --mm-enable-dp-encoder ! --no-mm-enable-dp-encoder
value  --mm-process-config
whole  --mm-processor-worker-num
whole  --mm-io-worker-num
list   --allowed-media-domains
whole  --media-url-max-file-size-mb
whole  --mm-preprocess-cache-size-mb
switch --trust-mm-content-hashes
value  --limit-mm-data-per-request
switch --enable-mm-global-cache
value  --image-processor-backend
value  --mm-global-cache-backend
switch --disable-fast-image-processor
value  --mm-feature-transport
switch --enable-lora
switch --enable-lora-overlap-loading
whole  --max-lora-rank
list   --lora-target-modules
list   --lora-paths
whole  --max-loaded-loras
whole  --max-loras-per-batch
value  --lora-eviction-policy
value  --lora-backend
whole  --max-lora-chunk-size
value  --experts-shared-outer-loras ! --no-experts-shared-outer-loras
switch --lora-use-virtual-experts
value  --lora-strict-loading ! --no-lora-strict-loading
float  --lora-drain-wait-threshold
switch --enable-two-batch-overlap
switch --enable-single-batch-overlap
float  --tbo-token-distribution-threshold
whole  --cpu-offload-gb
whole  --offload-group-size
whole  --offload-num-in-group
whole  --offload-prefetch-step
value  --offload-mode
switch --enable-lmcache
value  --lmcache-config-file
switch --enable-flexkv
value  --flexkv-config-file
value  --kt-weight-path
value  --kt-method
whole  --kt-cpuinfer
whole  --kt-threadpool-count
whole  --kt-num-gpu-experts
whole  --kt-max-deferred-experts-per-token
value  --dllm-algorithm
value  --dllm-algorithm-config
value  --dllm-fdfo ! --no-dllm-fdfo
value  --disaggregation-mode
value  --disaggregation-transfer-backend
whole  --disaggregation-bootstrap-port
value  --disaggregation-ib-device
switch --disaggregation-decode-enable-radix-cache
switch --disaggregation-decode-enable-offload-kvcache
value  --disaggregation-decode-retraction-backup
whole  --num-reserved-decode-tokens
whole  --disaggregation-decode-extra-slots
whole  --disaggregation-decode-polling-interval
whole  --optimistic-prefill-attempts
switch --encoder-only
switch --language-only
switch --language-model-only
value  --encoder-transfer-backend
list   --encoder-urls
whole  --encoder-bootstrap-port
list   --encoder-register-urls
switch --enable-adaptive-dispatch-to-encoder
switch --enable-pdmux
value  --pdmux-config-path
whole  --sm-group-num
value  --startup-weight-load-mode
list   --custom-weight-loader
switch --weight-loader-disable-mmap
switch --weight-loader-prefetch-checkpoints
whole  --weight-loader-prefetch-num-threads
switch --weight-loader-drop-cache-after-load
value  --remote-instance-weight-loader-seed-instance-ip
whole  --remote-instance-weight-loader-seed-instance-service-port
value  --remote-instance-weight-loader-send-weights-group-ports
value  --remote-instance-weight-loader-backend
switch --remote-instance-weight-loader-start-seed-via-transfer-engine
whole  --engine-info-bootstrap-port
value  --modelexpress-config
value  --download-dir
value  --model-checksum
switch --delete-ckpt-after-loading
value  --decrypted-config-file
value  --decrypted-draft-config-file
switch --checkpoint-engine-wait-weights-before-ready
switch --enable-prefill-delayer
whole  --prefill-delayer-max-delay-passes
float  --prefill-delayer-token-usage-low-watermark
list   --prefill-delayer-forward-passes-buckets
list   --prefill-delayer-wait-seconds-buckets
float  --prefill-delayer-queue-min-ratio
float  --prefill-delayer-max-delay-ms
whole  --min-free-slots-delay
switch --enable-deterministic-inference
value  --rl-on-policy-target
value  --kv-canary
whole  --kv-canary-sweep-interval
switch --enable-dynamic-batch-tokenizer
whole  --dynamic-batch-tokenizer-batch-size
float  --dynamic-batch-tokenizer-batch-timeout
switch --enable-tokenizer-batch-encode
switch --disable-tokenizer-batch-decode
value  --debug-tensor-dump-output-folder
list   --debug-tensor-dump-layers
value  --debug-tensor-dump-input-file
switch --enable-memory-saver
switch --enable-weights-cpu-backup
switch --enable-draft-weights-cpu-backup
switch --enable-custom-logit-processor
switch --enable-return-hidden-states
value  --return-hidden-states-mode
switch --enable-return-routed-experts
switch --enable-return-indexer-topk
whole  --sampling-mask-max-tokens
switch --disable-outlines-disk-cache
switch --enable-mis
value  --weight-cache-mode
value  --weight-cache-socket
whole  --weight-cache-timeout
value  --forward-hooks
value  --msprobe-dump-config
value  --ple-offload-embedding ! --no-ple-offload-embedding
value  --ple-offload-backend
value  --ple-offload-dir
switch --disaggregation-enable-kv-checksum
switch --enable-pd-role-switch
whole  --speculative-domino-candidate-pool-size
value  --flashinfer-a2a-dispatch-type
whole  --cuda-graph-max-seq-len-prefill
value  --prefill-kv-cache-dequant-dtype
value  --dsv4-attn-backend
value  --otlp-service-name
float  --hicache-host-memory-fraction
switch --enable-linker-mla-dedup
whole  --swa-prefix-tails
switch --enable-encoder-swa-bounded-replay
value  --enable-decoder-swa-bounded-replay ! --no-enable-decoder-swa-bounded-replay
switch --enable-response-store
float  --disaggregation-decode-host-receive-threshold
value  --qsa-indexer-dtype
value  --disaggregation-decode-allocation-policy
switch --speculative-use-block-verification
whole  --speculative-draft-sink-size
switch --disable-aiter-allreduce-fusion-in-prefill
switch --disable-aiter-allreduce-fusion-in-decode
switch --enable-amd-monokernel
whole  --dsa-triton-union
value  --enable-dsa-fused-indexer ! --no-enable-dsa-fused-indexer
switch --enable-watermark
value  --watermark-config
whole  --grpc-response-timeout-secs
switch --enable-paged-experts
whole  --paged-experts-num-resident
switch --enable-nvidia-megakernel
switch --enable-megamoe-for-layernorm-sp
switch --enable-http-worker-reuseport
whole  --prefill-decode-interval-min-bs
value  --unified-cache-external-linker-config
switch --enable-return-aux-hidden-states
list   --return-aux-hidden-state-layer-ids
value  --sampling-backend
value  --reasoning-parser
value  --tool-call-parser
value  --kv-canary-real-data
value  --config
switch --disable-cuda-graph
switch --enable-dp-attention
switch --monokernel-backend
switch --enable-flashinfer-allreduce-fusion
"""

_CHOICES = """
--load-format auto pt safetensors instanttensor npcache dummy sharded_state presharded gguf expert_pack
--load-format bitsandbytes mistral layered flash_rl remote remote_instance fastsafetensors private runai_streamer
--dtype auto half float16 bfloat16 float float32
--quantization awq fp8 mxfp8 gptq gptq_marlin awq_marlin bitsandbytes gguf modelopt modelopt_fp8 modelopt_fp4
--quantization nvfp4_online modelopt_mixed petit_nvfp4 w8a8_int8 w8a8_fp8 moe_wna16 w4afp8 mxfp4 auto-round auto-
--quantization round-int8 compressed-tensors modelslim mxfp_w4a8 quark quark_int4fp8_moe quark_mxfp4 mlx_q4 mlx_q8
--quantization unquant humming
--kv-cache-dtype auto fp8_e5m2 fp8_e4m3 mxfp8 bf16 bfloat16 nvfp4 fp4_mx_block16
--attention-backend triton torch_native flex_attention dsa nsa qsa dsv4 compressed fa3 fa4 flashinfer
--attention-backend llada2_cfg_flashinfer flashmla trtllm_mla cutedsl_mla tokenspeed_mla trtllm_mha hpc_ops
--attention-backend minicpm_flashattn minicpm_flashinfer aiter wave intel_amx ascend intel_xpu
--decode-attention-backend triton torch_native flex_attention dsa nsa qsa dsv4 compressed fa3 fa4 flashinfer
--decode-attention-backend llada2_cfg_flashinfer flashmla trtllm_mla cutedsl_mla tokenspeed_mla trtllm_mha hpc_ops
--decode-attention-backend minicpm_flashattn minicpm_flashinfer aiter wave intel_amx ascend intel_xpu
--prefill-attention-backend triton torch_native flex_attention dsa nsa qsa dsv4 compressed fa3 fa4 flashinfer
--prefill-attention-backend llada2_cfg_flashinfer flashmla trtllm_mla cutedsl_mla tokenspeed_mla trtllm_mha hpc_ops
--prefill-attention-backend minicpm_flashattn minicpm_flashinfer aiter wave intel_amx ascend intel_xpu
--cuda-graph-backend-decode full breakable disabled
--cuda-graph-backend-prefill full breakable disabled
--mamba-ssm-dtype float32 bfloat16 float16
--mamba-radix-cache-strategy auto no_buffer extra_buffer extra_buffer_lazy
"""

OPTIONS = table(_ROWS, _CHOICES)
