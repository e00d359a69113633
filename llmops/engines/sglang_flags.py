"""Every option of SGLang 0.5.23's server, dumped from its parser, as `option_line.table` reads them.

Limits: arg_groups/validation_hook.py, parallel_hook.py and cuda_graph_hook.py, managers/tp_worker.py, and the ports that
sockets have. -1 means off, or no limit, where no least number is said.
"""

from llmops.engines.option_line import table

_ROWS = """
value: --model-path|--model --tokenizer-path --tokenizer-mode --tokenizer-backend --load-format
  --model-loader-extra-config --revision --model-impl --model-config-parser --json-model-override-args --dtype
  --quantization --quantization-param-path --kv-cache-dtype --modelopt-quant --modelopt-checkpoint-restore-path
  --modelopt-checkpoint-save-path --modelopt-export-path --rl-quant-profile
  --enable-tf32-matmul!--no-enable-tf32-matmul --schedule-policy --retraction-policy --radix-eviction-policy
  --radix-eviction-policy-config --dist-init-addr|--nccl-init-addr --load-balance-method --dcp-comm-backend
  --dcp-replicate-q-proj!--no-dcp-replicate-q-proj --cp-strategy
  --enable-tp-lm-head-all-to-all!--no-enable-tp-lm-head-all-to-all --device --host --fastapi-root-path --sidecar
  --sidecar-args --warmups --ssl-keyfile --ssl-certfile --ssl-ca-certs --ssl-keyfile-password --api-key
  --admin-api-key --served-model-name --weight-version --chat-template --hf-chat-template-name --completion-template
  --file-storage-path --default-chat-template-kwargs --tool-server --sampling-defaults --preferred-sampling-params
  --log-level --log-level-http --log-requests-format --crash-dump-folder --tokenizer-metrics-custom-labels-header
  --extra-metric-labels --kv-events-config --load-publish-endpoint --forward-pass-metrics-worker-id
  --forward-pass-metrics-ipc-name --trace-modules --otlp-traces-endpoint --export-metrics-to-file-dir
  --constrained-json-whitespace-pattern --attention-backend --decode-attention-backend --prefill-attention-backend
  --grammar-backend --radix-cache-backend --mm-attention-backend --fp8-gemm-backend --fp4-gemm-backend
  --bf16-gemm-backend --dsa-prefill-backend --dsv4-prefill-backend --dsa-decode-backend --dsa-paged-mqa-logits-backend
  --dsa-topk-backend --mamba-backend --cuda-graph-config --cuda-graph-backend-decode --cuda-graph-backend-prefill
  --enable-fused-qk-norm-rope!--no-enable-fused-qk-norm-rope --boundary-reduction
  --flashinfer-allreduce-fusion-backend --speculative-algorithm --uno-lora-path
  --speculative-draft-model-path|--speculative-draft-model --speculative-draft-model-revision
  --speculative-draft-load-format --speculative-dspark-sps-table-path --speculative-dspark-confidence-sts-path
  --speculative-token-map --speculative-attention-mode --speculative-draft-attention-backend
  --speculative-dsa-topk-backend --speculative-draft-kv-cache-dtype --speculative-moe-runner-backend
  --speculative-moe-a2a-backend --speculative-enable-w4a4-mxfp4-megamoe!--no-speculative-enable-w4a4-mxfp4-megamoe
  --speculative-draft-model-quantization --speculative-adaptive-config --decoupled-spec-bind-endpoint
  --decoupled-spec-connect-endpoints --decoupled-spec-role --spec-trace-dir --speculative-ngram-match-type
  --speculative-ngram-external-corpus-path --moe-a2a-backend --deepep-v2-mode --moe-runner-backend
  --flashinfer-mxfp4-moe-precision --deepep-mode --deepep-dispatcher-output-dtype --ep-dispatch-algorithm
  --init-expert-location --eplb-algorithm --expert-distribution-recorder-mode --expert-balancedness-report-mode
  --deepep-config --elastic-ep-backend --mooncake-ib-device --elastic-ep-join-mode --mamba-ssm-dtype
  --mamba-radix-cache-strategy --linear-attn-backend --linear-attn-decode-backend --linear-attn-prefill-backend
  --linear-attn-verify-backend --hicache-host-memory-mode --hicache-write-policy --hicache-io-backend
  --hicache-mem-layout --hicache-storage-backend --hicache-storage-prefetch-policy
  --hicache-storage-backend-extra-config --unified-cache-external-linker-backend
  --hisparse-config|--hierarchical-sparse-attention-extra-config --mm-enable-dp-encoder!--no-mm-enable-dp-encoder
  --mm-process-config --limit-mm-data-per-request --image-processor-backend --mm-global-cache-backend
  --mm-feature-transport --lora-eviction-policy --lora-backend
  --experts-shared-outer-loras!--no-experts-shared-outer-loras --lora-strict-loading!--no-lora-strict-loading
  --offload-mode --lmcache-config-file --flexkv-config-file --kt-weight-path --kt-method --dllm-algorithm
  --dllm-algorithm-config --dllm-fdfo!--no-dllm-fdfo --disaggregation-mode --disaggregation-transfer-backend
  --disaggregation-ib-device --disaggregation-decode-retraction-backup --encoder-transfer-backend --pdmux-config-path
  --startup-weight-load-mode --remote-instance-weight-loader-seed-instance-ip
  --remote-instance-weight-loader-send-weights-group-ports --remote-instance-weight-loader-backend
  --modelexpress-config --download-dir --model-checksum --decrypted-config-file --decrypted-draft-config-file
  --rl-on-policy-target --kv-canary --debug-tensor-dump-output-folder --debug-tensor-dump-input-file
  --return-hidden-states-mode --weight-cache-mode --weight-cache-socket --forward-hooks --msprobe-dump-config
  --ple-offload-embedding!--no-ple-offload-embedding --ple-offload-backend --ple-offload-dir
  --flashinfer-a2a-dispatch-type --prefill-kv-cache-dequant-dtype --dsv4-attn-backend --otlp-service-name
  --enable-decoder-swa-bounded-replay!--no-enable-decoder-swa-bounded-replay --qsa-indexer-dtype
  --disaggregation-decode-allocation-policy --enable-dsa-fused-indexer!--no-enable-dsa-fused-indexer
  --watermark-config --unified-cache-external-linker-config --sampling-backend --reasoning-parser --tool-call-parser
  --kv-canary-real-data --config
whole: --tokenizer-worker-num --detokenizer-worker-num --max-running-requests --max-queued-requests
  --chunked-prefill-size --prefill-decode-interval --prefill-max-requests --default-priority-value
  --priority-scheduling-preemption-threshold --page-size --c128-page-size --num-continuous-decode-steps
  --scheduler-recv-interval --nccl-port --dist-timeout --gated-launch-port --nnodes --node-rank
  --tp-size|--tensor-parallel-size --dcp-size|--decode-context-parallel-size --pp-size|--pipeline-parallel-size
  --pp-max-micro-batch-size --pp-async-batch-depth --dp-size|--data-parallel-size
  --attn-dp-size|--attention-data-parallel-size --attn-cp-size|--attention-context-parallel-size
  --moe-dp-size|--moe-data-parallel-size --dwdp-size --shared-experts-tp-size --base-gpu-id --gpu-id-step
  --random-seed --port --grpc-port --http2-max-concurrent-streams --http2-initial-connection-window-size
  --asr-max-buffer-seconds --asr-max-concurrent-sessions --stream-interval --batch-notify-size --log-requests-level
  --smg-http-sidecar-port|--grpc-http-sidecar-port --load-snapshot-publish-interval --decode-log-interval
  --constrained-json-max-whitespace-cnt --cuda-graph-max-bs-decode --cuda-graph-max-bs-prefill
  --triton-attention-num-kv-splits --triton-attention-split-tile-size --torch-compile-max-bs --speculative-num-steps
  --speculative-eagle-topk --speculative-num-draft-tokens --speculative-dflash-block-size
  --speculative-dspark-block-size --speculative-draft-window-size --decoupled-spec-rank
  --speculative-ngram-min-bfs-breadth --speculative-ngram-max-bfs-breadth --speculative-ngram-max-trie-depth
  --speculative-ngram-capacity --speculative-ngram-external-sam-budget --speculative-ngram-external-corpus-max-tokens
  --ep-size|--expert-parallel-size|--ep --fuseep-mode --ep-num-redundant-experts --eplb-rebalance-num-iterations
  --eplb-rebalance-layers-per-chunk --expert-distribution-recorder-buffer-size --moe-dense-tp-size
  --elastic-ep-join-rank-offset --elastic-ep-initial-size --max-ep-size --max-mamba-cache-size
  --mamba-max-states-per-path --mamba-cache-philox-rounds --mamba-track-interval --int8-mamba-ckpt-size
  --linear-replayssm-cache-len --hicache-size --hicache-storage-prefetch-retry-poll-interval
  --hicache-storage-prefetch-retry-max-attempts --mm-processor-worker-num --mm-io-worker-num
  --media-url-max-file-size-mb --mm-preprocess-cache-size-mb --max-lora-rank --max-loaded-loras --max-loras-per-batch
  --max-lora-chunk-size --cpu-offload-gb --offload-group-size --offload-num-in-group --offload-prefetch-step
  --kt-cpuinfer --kt-threadpool-count --kt-num-gpu-experts --kt-max-deferred-experts-per-token
  --disaggregation-bootstrap-port --num-reserved-decode-tokens --disaggregation-decode-extra-slots
  --disaggregation-decode-polling-interval --optimistic-prefill-attempts --encoder-bootstrap-port --sm-group-num
  --weight-loader-prefetch-num-threads --remote-instance-weight-loader-seed-instance-service-port
  --engine-info-bootstrap-port --prefill-delayer-max-delay-passes --min-free-slots-delay --kv-canary-sweep-interval
  --dynamic-batch-tokenizer-batch-size --sampling-mask-max-tokens --weight-cache-timeout
  --speculative-domino-candidate-pool-size --cuda-graph-max-seq-len-prefill --swa-prefix-tails
  --speculative-draft-sink-size --dsa-triton-union --grpc-response-timeout-secs --paged-experts-num-resident
  --prefill-decode-interval-min-bs
switch: --skip-tokenizer-init --trust-remote-code --is-embedding --enable-multimodal --enable-fp32-lm-head
  --quantize-and-serve --enable-dynamic-chunking --enable-priority-scheduling --disable-priority-preemption
  --abort-on-priority-when-disabled --schedule-low-priority-values-first --disable-hybrid-swa-memory
  --prefill-only-disable-kv-cache --disable-radix-cache --enable-page-major-kv-layout --enable-unified-memory
  --disable-chunked-prefix-cache --disable-overlap-schedule --enable-mixed-chunk --enable-prefill-cp
  --enable-dsa-cache-layer-split --enable-cp-decode-attn-tp --enable-kv-cache-sharding
  --enable-dp-attention-local-control-broadcast --enable-dp-lm-head --enable-attn-tp-input-scattered
  --enable-shared-experts-attn-tp --enable-dense-mlp-attn-tp --enable-layernorm-sp --disable-attn-tp-gather
  --enable-p2p-check --mlx-enable-sampling --sleep-on-idle --use-ray --smg-grpc-mode --grpc-mode --skip-server-warmup
  --enable-http2 --enable-ssl-refresh --trust-request-chat-template --enable-cache-report --return-input-ids
  --return-output-ids --strip-thinking-cache --enable-strict-thinking --allow-auto-truncate
  --stream-response-default-include-usage --incremental-streaming-output --enable-streaming-session
  --enable-session-radix-cache --log-requests --show-time-cost --enable-metrics --enable-mfu-metrics
  --enable-metrics-for-all-schedulers --enable-request-time-stats-logging --enable-forward-pass-metrics --enable-trace
  --export-metrics-to-file --constrained-json-disable-any-whitespace --enable-lean-attention
  --disable-flashinfer-autotune --disable-prefill-cuda-graph --disable-decode-cuda-graph --disable-cuda-graph-padding
  --enable-profile-cuda-graph --enable-cudagraph-gc --debug-cuda-graph --enable-layerwise-nvtx-marker
  --enable-nccl-nvls --enable-symm-mem --triton-attention-reduce-in-fp32 --flashinfer-mla-disable-ragged
  --enable-precise-embedding-interpolation --enable-fused-moe-sum-all-reduce --enable-deepseek-v4-fp4-indexer
  --disable-custom-all-reduce --enable-mscclpp --enable-torch-symm-mem --enable-scattered-sconv --pre-warm-nccl
  --enable-quant-communications --enforce-disable-flashinfer-allreduce-fusion --enable-aiter-allreduce-fusion
  --enable-torch-compile --enable-torch-compile-debug-mode --speculative-dspark-align-verify-tokens-to-graph-tier
  --speculative-use-rejection-sampling --enable-multi-layer-eagle --speculative-adaptive --enable-w4a4-mxfp4-megamoe
  --enable-eplb --enable-elastic-expert-backup --enable-waterfill --disable-flashinfer-cutlass-moe-fp4-allgather
  --disable-shared-experts-fusion --enforce-shared-experts-fusion --enable-mamba-cache-stochastic-rounding
  --enable-int8-mamba-checkpoint --enable-linear-replayssm --enable-linear-replayssm-spec
  --enable-hierarchical-cache|--enable-hicache --enable-unified-cache-external-linker --enable-hisparse
  --enable-broadcast-mm-inputs-process --enable-prefix-mm-cache --trust-mm-content-hashes --enable-mm-global-cache
  --disable-fast-image-processor --enable-lora --enable-lora-overlap-loading --lora-use-virtual-experts
  --enable-two-batch-overlap --enable-single-batch-overlap --enable-lmcache --enable-flexkv
  --disaggregation-decode-enable-radix-cache --disaggregation-decode-enable-offload-kvcache --encoder-only
  --language-only --language-model-only --enable-adaptive-dispatch-to-encoder --enable-pdmux
  --weight-loader-disable-mmap --weight-loader-prefetch-checkpoints --weight-loader-drop-cache-after-load
  --remote-instance-weight-loader-start-seed-via-transfer-engine --delete-ckpt-after-loading
  --checkpoint-engine-wait-weights-before-ready --enable-prefill-delayer --enable-deterministic-inference
  --enable-dynamic-batch-tokenizer --enable-tokenizer-batch-encode --disable-tokenizer-batch-decode
  --enable-memory-saver --enable-weights-cpu-backup --enable-draft-weights-cpu-backup --enable-custom-logit-processor
  --enable-return-hidden-states --enable-return-routed-experts --enable-return-indexer-topk
  --disable-outlines-disk-cache --enable-mis --disaggregation-enable-kv-checksum --enable-pd-role-switch
  --enable-linker-mla-dedup --enable-encoder-swa-bounded-replay --enable-response-store
  --speculative-use-block-verification --disable-aiter-allreduce-fusion-in-prefill
  --disable-aiter-allreduce-fusion-in-decode --enable-amd-monokernel --enable-watermark --enable-paged-experts
  --enable-nvidia-megakernel --enable-megamoe-for-layernorm-sp --enable-http-worker-reuseport
  --enable-return-aux-hidden-states --disable-cuda-graph --enable-dp-attention --monokernel-backend
  --enable-flashinfer-allreduce-fusion
human: --context-length --max-total-tokens --max-prefill-tokens --cuda-graph-prefill-max-context|--context-bucket
float: --mem-fraction-static --schedule-conservativeness --swa-full-tokens-ratio --watchdog-timeout
  --soft-watchdog-timeout --gc-warning-threshold-secs --speculative-accept-threshold-single
  --speculative-accept-threshold-acc --eplb-min-rebalancing-utilization-threshold --elastic-ep-scale-timeout
  --mamba-full-memory-ratio --hicache-ratio --lora-drain-wait-threshold --tbo-token-distribution-threshold
  --prefill-delayer-token-usage-low-watermark --prefill-delayer-queue-min-ratio --prefill-delayer-max-delay-ms
  --dynamic-batch-tokenizer-batch-timeout --hicache-host-memory-fraction
  --disaggregation-decode-host-receive-threshold
list: --numa-node --gc-threshold --log-requests-target --uvicorn-access-log-exclude-prefixes
  --tokenizer-metrics-allowed-custom-labels --bucket-time-to-first-token --bucket-inter-token-latency
  --bucket-e2e-request-latency --prompt-tokens-buckets --generation-tokens-buckets --flashinfer-autotune-skip-ops
  --cuda-graph-bs-decode --cuda-graph-bs-prefill --allowed-media-domains --lora-target-modules --lora-paths
  --encoder-urls --encoder-register-urls --custom-weight-loader --prefill-delayer-forward-passes-buckets
  --prefill-delayer-wait-seconds-buckets --debug-tensor-dump-layers --return-aux-hidden-state-layer-ids
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

_LIMITS = """
1 --tp-size --pp-size --dp-size --ep-size --dcp-size --nnodes --page-size --max-running-requests
  --max-total-tokens --context-length --tokenizer-worker-num --detokenizer-worker-num --gpu-id-step
  --pp-max-micro-batch-size --max-loras-per-batch
1-65535 --port --nccl-port --grpc-port --disaggregation-bootstrap-port
"""

OPTIONS = table(_ROWS, _CHOICES, _LIMITS)
