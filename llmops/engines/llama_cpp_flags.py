"""Every option of llama-server b11669's own parser (b11434 takes all but two of them), with the environment variable it reads.

One line an option: `value` takes one argument, `whole` a whole number, `twice` two, `switch` none; the long name, its other
spellings, after `!` the spellings that switch it off, after `@` its variable. `_GONE` are options that end a start today:
`+` takes an argument, `>` what replaced it. Source: the options as the parser prints them; `--help` of b11669.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmops.domain.engine import FlagRow, FlagTable

TWO_VALUES = frozenset({"--control-vector-layer-range"})

_ROWS = """
switch --help -h --usage
switch --version
switch --cache-list -cl
switch --completion-bash
whole  --threads -t @LLAMA_ARG_THREADS
whole  --threads-batch -tb
value  --cpu-mask -C
value  --cpu-range -Cr
value  --cpu-strict
whole  --prio
value  --poll
value  --cpu-mask-batch -Cb
value  --cpu-range-batch -Crb
whole  --cpu-strict-batch
whole  --prio-batch
whole  --poll-batch
value  --lookup-cache-static -lcs
value  --lookup-cache-dynamic -lcd
whole  --ctx-size -c @LLAMA_ARG_CTX_SIZE
whole  --kv-unified-per-slot @LLAMA_ARG_KV_UNIFIED_PER_SLOT
whole  --predict -n --n-predict @LLAMA_ARG_N_PREDICT
whole  --batch-size -b @LLAMA_ARG_BATCH
whole  --ubatch-size -ub @LLAMA_ARG_UBATCH
whole  --keep
switch --swa-full @LLAMA_ARG_SWA_FULL
whole  --ctx-checkpoints -ctxcp --swa-checkpoints @LLAMA_ARG_CTX_CHECKPOINTS
whole  --checkpoint-min-step -cms @LLAMA_ARG_CHECKPOINT_MIN_SPACING_NT
whole  --cache-ram -cram @LLAMA_ARG_CACHE_RAM
switch --kv-unified -kvu ! -no-kvu --no-kv-unified @LLAMA_ARG_KV_UNIFIED
switch --cache-idle-slots ! --no-cache-idle-slots @LLAMA_ARG_CACHE_IDLE_SLOTS
switch --context-shift ! --no-context-shift @LLAMA_ARG_CONTEXT_SHIFT
value  --flash-attn -fa @LLAMA_ARG_FLASH_ATTN
switch --perf ! --no-perf @LLAMA_ARG_PERF
switch --escape -e ! --no-escape
value  --reverse-prompt -r
switch --special -sp
switch --warmup ! --no-warmup
switch --spm-infill
value  --samplers
value  --seed -s
value  --sampler-seq --sampling-seq
switch --ignore-eos
value  --temp --temperature @LLAMA_ARG_TEMPERATURE
whole  --top-k @LLAMA_ARG_TOP_K
value  --top-p @LLAMA_ARG_TOP_P
value  --min-p @LLAMA_ARG_MIN_P
value  --top-nsigma --top-n-sigma
value  --xtc-probability
value  --xtc-threshold
value  --typical --typical-p
whole  --repeat-last-n
value  --repeat-penalty @LLAMA_ARG_REPEAT_PENALTY
value  --presence-penalty @LLAMA_ARG_PRESENCE_PENALTY
value  --frequency-penalty @LLAMA_ARG_FREQUENCY_PENALTY
value  --dry-multiplier
value  --dry-base
whole  --dry-allowed-length
whole  --dry-penalty-last-n
value  --dry-sequence-breaker
value  --adaptive-target
value  --adaptive-decay
value  --dynatemp-range
value  --dynatemp-exp
whole  --mirostat
value  --mirostat-lr
value  --mirostat-ent
value  --logit-bias -l
value  --grammar
value  --grammar-file
value  --json-schema -j
value  --json-schema-file -jf
switch --backend-sampling -bs @LLAMA_ARG_BACKEND_SAMPLING
value  --pooling @LLAMA_ARG_POOLING
value  --rope-scaling @LLAMA_ARG_ROPE_SCALING_TYPE
value  --rope-scale @LLAMA_ARG_ROPE_SCALE
value  --rope-freq-base @LLAMA_ARG_ROPE_FREQ_BASE
value  --rope-freq-scale @LLAMA_ARG_ROPE_FREQ_SCALE
whole  --yarn-orig-ctx @LLAMA_ARG_YARN_ORIG_CTX
value  --yarn-ext-factor @LLAMA_ARG_YARN_EXT_FACTOR
value  --yarn-attn-factor @LLAMA_ARG_YARN_ATTN_FACTOR
value  --yarn-beta-slow @LLAMA_ARG_YARN_BETA_SLOW
value  --yarn-beta-fast @LLAMA_ARG_YARN_BETA_FAST
switch --kv-offload -kvo ! -nkvo --no-kv-offload @LLAMA_ARG_KV_OFFLOAD
switch --repack ! -nr --no-repack @LLAMA_ARG_REPACK
switch --no-host @LLAMA_ARG_NO_HOST
value  --cache-type-k -ctk @LLAMA_ARG_CACHE_TYPE_K
value  --cache-type-v -ctv @LLAMA_ARG_CACHE_TYPE_V
value  --defrag-thold -dt @LLAMA_ARG_DEFRAG_THOLD
whole  --parallel -np @LLAMA_ARG_N_PARALLEL
switch --cont-batching -cb ! -nocb --no-cont-batching @LLAMA_ARG_CONT_BATCHING
value  --mmproj -mm @LLAMA_ARG_MMPROJ
value  --mmproj-url -mmu @LLAMA_ARG_MMPROJ_URL
switch --mmproj-auto ! --no-mmproj --no-mmproj-auto @LLAMA_ARG_MMPROJ_AUTO
switch --mmproj-offload ! --no-mmproj-offload @LLAMA_ARG_MMPROJ_OFFLOAD
value  --mmproj-device -mmdev @MTMD_BACKEND_DEVICE
whole  --image-min-tokens @LLAMA_ARG_IMAGE_MIN_TOKENS
whole  --image-max-tokens @LLAMA_ARG_IMAGE_MAX_TOKENS
whole  --mtmd-batch-max-tokens @LLAMA_ARG_MTMD_BATCH_MAX_TOKENS
value  --video-fps @LLAMA_ARG_VIDEO_FPS
whole  --video-timestamp-interval @LLAMA_ARG_VIDEO_TIMESTAMP_INTERVAL
value  --video-ffmpeg-dir @LLAMA_ARG_VIDEO_FFMPEG_DIR
value  --rpc @LLAMA_ARG_RPC
value  --load-mode -lm @LLAMA_ARG_LOAD_MODE
value  --lazy-mode -lzm @LLAMA_ARG_LAZY_MODE
value  --numa @LLAMA_ARG_NUMA
value  --device -dev @LLAMA_ARG_DEVICE
switch --list-devices
value  --override-tensor -ot @LLAMA_ARG_OVERRIDE_TENSOR
switch --cpu-moe -cmoe @LLAMA_ARG_CPU_MOE
whole  --n-cpu-moe -ncmoe @LLAMA_ARG_N_CPU_MOE
whole  --moe-cache-mib @LLAMA_ARG_MOE_CACHE_MIB
whole  --n-cpu-ffn -ncffn @LLAMA_ARG_N_CPU_FFN
value  --gpu-layers -ngl --n-gpu-layers @LLAMA_ARG_N_GPU_LAYERS
value  --split-mode -sm @LLAMA_ARG_SPLIT_MODE
value  --tensor-split -ts @LLAMA_ARG_TENSOR_SPLIT
whole  --main-gpu -mg @LLAMA_ARG_MAIN_GPU
value  --fit -fit @LLAMA_ARG_FIT
value  --fit-target -fitt @LLAMA_ARG_FIT_TARGET
whole  --fit-ctx -fitc @LLAMA_ARG_FIT_CTX
switch --check-tensors
value  --override-kv
switch --op-offload ! --no-op-offload
value  --lora
value  --lora-scaled
value  --control-vector
value  --control-vector-scaled
twice  --control-vector-layer-range
value  --alias -a @LLAMA_ARG_ALIAS
value  --tags @LLAMA_ARG_TAGS
value  --model -m @LLAMA_ARG_MODEL
value  --model-url -mu @LLAMA_ARG_MODEL_URL
value  --docker-repo -dr @LLAMA_ARG_DOCKER_REPO
value  --hf-repo -hf -hfr @LLAMA_ARG_HF_REPO
value  --hf-file -hff @LLAMA_ARG_HF_FILE
value  --hf-token -hft @HF_TOKEN
whole  --embd-normalize
value  --host @LLAMA_ARG_HOST
whole  --port @LLAMA_ARG_PORT
switch --reuse-port @LLAMA_ARG_REUSE_PORT
value  --path @LLAMA_ARG_STATIC_PATH
value  --cors-origins @LLAMA_ARG_CORS_ORIGINS
value  --cors-methods @LLAMA_ARG_CORS_METHODS
value  --cors-headers @LLAMA_ARG_CORS_HEADERS
switch --cors-credentials ! --no-cors-credentials @LLAMA_ARG_CORS_CREDENTIALS
value  --api-prefix @LLAMA_ARG_API_PREFIX
value  --ui-config --webui-config @LLAMA_ARG_UI_CONFIG
value  --ui-config-file --webui-config-file @LLAMA_ARG_UI_CONFIG_FILE
switch --ui-mcp-proxy --webui-mcp-proxy ! --no-ui-mcp-proxy --no-webui-mcp-proxy @LLAMA_ARG_UI_MCP_PROXY
value  --tools @LLAMA_ARG_TOOLS
value  --tools-runtime @LLAMA_ARG_TOOLS_RUNTIME
value  --mcp-servers-config @LLAMA_ARG_MCP_SERVERS_CONFIG
value  --mcp-servers-json @LLAMA_ARG_MCP_SERVERS_JSON
switch --agent -ag ! -no-ag --no-agent @LLAMA_ARG_AGENT
switch --ui --webui ! --no-ui --no-webui @LLAMA_ARG_UI
switch --embedding --embeddings @LLAMA_ARG_EMBEDDINGS
switch --reranking --rerank @LLAMA_ARG_RERANKING
value  --api-key @LLAMA_API_KEY
value  --api-key-file @LLAMA_ARG_API_KEY_FILE
value  --ssl-key-file @LLAMA_ARG_SSL_KEY_FILE
value  --ssl-cert-file @LLAMA_ARG_SSL_CERT_FILE
value  --chat-template-kwargs @LLAMA_ARG_CHAT_TEMPLATE_KWARGS
whole  --timeout -to @LLAMA_ARG_TIMEOUT
whole  --sse-ping-interval @LLAMA_ARG_SSE_PING_INTERVAL
whole  --threads-http @LLAMA_ARG_THREADS_HTTP
switch --cache-prompt ! --no-cache-prompt @LLAMA_ARG_CACHE_PROMPT
whole  --cache-reuse @LLAMA_ARG_CACHE_REUSE
switch --metrics @LLAMA_ARG_ENDPOINT_METRICS
switch --props @LLAMA_ARG_ENDPOINT_PROPS
switch --slots ! --no-slots @LLAMA_ARG_ENDPOINT_SLOTS
value  --slot-save-path @LLAMA_ARG_SLOT_SAVE_PATH
value  --media-path
value  --models-dir @LLAMA_ARG_MODELS_DIR
value  --models-preset @LLAMA_ARG_MODELS_PRESET
whole  --models-max @LLAMA_ARG_MODELS_MAX
switch --models-autoload ! --no-models-autoload @LLAMA_ARG_MODELS_AUTOLOAD
switch --jinja ! --no-jinja @LLAMA_ARG_JINJA
value  --reasoning-format @LLAMA_ARG_THINK
value  --reasoning -rea @LLAMA_ARG_REASONING
value  --reasoning-effort @LLAMA_ARG_REASONING_EFFORT
whole  --reasoning-budget @LLAMA_ARG_THINK_BUDGET
value  --reasoning-budget-message @LLAMA_ARG_THINK_BUDGET_MESSAGE
switch --reasoning-preserve ! --no-reasoning-preserve @LLAMA_ARG_REASONING_PRESERVE
value  --chat-template @LLAMA_ARG_CHAT_TEMPLATE
value  --chat-template-file @LLAMA_ARG_CHAT_TEMPLATE_FILE
switch --skip-chat-parsing ! --no-skip-chat-parsing @LLAMA_ARG_SKIP_CHAT_PARSING
switch --prefill-assistant ! --no-prefill-assistant @LLAMA_ARG_PREFILL_ASSISTANT
value  --slot-prompt-similarity -sps
switch --lora-init-without-apply
whole  --sleep-idle-seconds
switch --log-disable
value  --log-file @LLAMA_ARG_LOG_FILE
switch --log-jsonl ! --no-log-jsonl @LLAMA_ARG_LOG_JSONL
value  --log-prompts-dir
value  --log-colors @LLAMA_ARG_LOG_COLORS
switch --verbose -v --log-verbose
switch --offline @LLAMA_ARG_OFFLINE
whole  --verbosity -lv --log-verbosity @LLAMA_ARG_LOG_VERBOSITY
switch --log-prefix ! --no-log-prefix @LLAMA_ARG_LOG_PREFIX
switch --log-timestamps ! --no-log-timestamps @LLAMA_ARG_LOG_TIMESTAMPS
value  --spec-draft-hf -hfd -hfrd --hf-repo-draft @LLAMA_ARG_SPEC_DRAFT_HF_REPO
whole  --spec-draft-threads -td --threads-draft
whole  --spec-draft-threads-batch -tbd --threads-batch-draft
value  --spec-draft-cpu-mask -Cd --cpu-mask-draft
value  --spec-draft-cpu-range -Crd --cpu-range-draft
whole  --spec-draft-cpu-strict --cpu-strict-draft
whole  --spec-draft-prio --prio-draft
whole  --spec-draft-poll --poll-draft
value  --spec-draft-cpu-mask-batch -Cbd --cpu-mask-batch-draft
whole  --spec-draft-cpu-strict-batch --cpu-strict-batch-draft
whole  --spec-draft-prio-batch --prio-batch-draft
whole  --spec-draft-poll-batch --poll-batch-draft
value  --spec-draft-type-k -ctkd --cache-type-k-draft @LLAMA_ARG_SPEC_DRAFT_CACHE_TYPE_K
value  --spec-draft-type-v -ctvd --cache-type-v-draft @LLAMA_ARG_SPEC_DRAFT_CACHE_TYPE_V
value  --spec-draft-override-tensor -otd --override-tensor-draft
switch --spec-draft-cpu-moe -cmoed --cpu-moe-draft @LLAMA_ARG_SPEC_DRAFT_CPU_MOE
whole  --spec-draft-n-cpu-moe --spec-draft-ncmoe -ncmoed --n-cpu-moe-draft @LLAMA_ARG_SPEC_DRAFT_N_CPU_MOE
whole  --spec-draft-n-max @LLAMA_ARG_SPEC_DRAFT_N_MAX
whole  --spec-draft-n-min @LLAMA_ARG_SPEC_DRAFT_N_MIN
whole  --spec-draft-n-ubatch @LLAMA_ARG_SPEC_DRAFT_N_UBATCH
value  --spec-synth-len @LLAMA_ARG_SPEC_SYNTH_LEN
value  --spec-synth-rates @LLAMA_ARG_SPEC_SYNTH_RATES
value  --spec-draft-p-split --draft-p-split @LLAMA_ARG_SPEC_DRAFT_P_SPLIT
value  --spec-draft-p-min --draft-p-min @LLAMA_ARG_SPEC_DRAFT_P_MIN
switch --spec-draft-backend-sampling ! --no-spec-draft-backend-sampling @LLAMA_ARG_SPEC_DRAFT_BACKEND_SAMPLING
value  --spec-draft-sampling @LLAMA_ARG_SPEC_DRAFT_SAMPLING
value  --spec-draft-device -devd --device-draft
value  --spec-draft-ngl -ngld --gpu-layers-draft --n-gpu-layers-draft @LLAMA_ARG_N_GPU_LAYERS_DRAFT
value  --spec-draft-model -md --model-draft @LLAMA_ARG_SPEC_DRAFT_MODEL
value  --spec-type @LLAMA_ARG_SPEC_TYPE
whole  --spec-ngram-mod-n-min
whole  --spec-ngram-mod-n-max
whole  --spec-ngram-mod-n-match
whole  --spec-ngram-simple-size-n
whole  --spec-ngram-simple-size-m
whole  --spec-ngram-simple-min-hits
whole  --spec-ngram-map-k-size-n
whole  --spec-ngram-map-k-size-m
whole  --spec-ngram-map-k-min-hits
whole  --spec-ngram-map-k4v-size-n
whole  --spec-ngram-map-k4v-size-m
whole  --spec-ngram-map-k4v-min-hits
switch --embd-gemma-default
switch --fim-qwen-1.5b-default
switch --fim-qwen-3b-default
switch --fim-qwen-7b-default
switch --fim-qwen-7b-spec
switch --fim-qwen-14b-spec
switch --fim-qwen-30b-default
switch --gpt-oss-20b-default
switch --gpt-oss-120b-default
switch --vision-gemma-4b-default
switch --vision-gemma-12b-default
switch --spec-default
value  load-on-startup
whole  stop-timeout
value  dedup-cache-models
"""

_GONE = """
+ --draft --draft-n --draft-max @LLAMA_ARG_DRAFT_MAX > --spec-draft-n-max
+ --draft-min --draft-n-min @LLAMA_ARG_DRAFT_MIN > --spec-draft-n-min
+ --spec-ngram-size-n > --spec-ngram-simple-size-n
+ --spec-ngram-size-m > --spec-ngram-simple-size-m
+ --spec-ngram-min-hits > --spec-ngram-simple-min-hits
- --mlock > --load-mode mlock
- --no-mmap > --load-mode none
- --mmap > --load-mode mmap
- -dio --direct-io > --load-mode dio
+ -cd --ctx-size-draft >
- -dkvc --dump-kv-cache >
- --verbose-prompt >
+ --sliding-window >
- -nommq --no-mul-mat-q --mul-mat-q >
- --memory-f32 > -ctk f32 -ctv f32
- --memory-f16 > -ctk f16 -ctv f16
- --low-vram > --no-kv-offload
+ -gqa --gqa >
+ -eps --rms-norm-eps >
+ --lora-base >
+ -spf --system-prompt-file >
+ -gan --grp-attn-n >
+ -gaw --grp-attn-w >
+ --tfs >
- --penalize-nl >
- --slots-endpoint-disable > --no-slots
+ --log-format > --log-jsonl
- --log-enable >
- --log-new >
- --log-append >
+ --logdir > --log-file FILE
- --tts-oute-default >
- --embd-bge-small-en-default > -hf ggml-org/bge-small-en-v1.5-Q8_0-GGUF --embeddings
- --embd-e5-small-en-default > -hf ggml-org/e5-small-v2-Q8_0-GGUF --embeddings
- --embd-gte-small-default > -hf ggml-org/gte-small-Q8_0-GGUF --embeddings
"""
"""What older servers took and b11669 ends the start at (asked one by one), `>` what says the same today, if anything does."""


def _row(line: str) -> FlagRow:
    kind, name, *words = line.split()
    variable = next((word[1:] for word in words if word.startswith("@")), None)
    spellings = [word for word in words if not word.startswith("@")]
    at = spellings.index("!") if "!" in spellings else len(spellings)
    return FlagRow(
        name=name,
        aliases=tuple(spellings[:at]),
        value=kind in ("value", "whole", "twice", "+"),
        negated=tuple(spellings[at + 1 :]),
        environment=variable,
        whole=kind == "whole",
    )


def _table() -> FlagTable:
    table: dict[str, FlagRow] = {}
    for line in _ROWS.strip().splitlines():
        row = _row(line)
        table |= dict.fromkeys((row.name, *row.aliases, *row.negated), row)
    for line in _GONE.strip().splitlines():
        names, _, instead = line.partition(">")
        row = replace(_row(names), removed=instead.strip())
        table |= dict.fromkeys((row.name, *row.aliases), row)
    return table


FLAGS: FlagTable = _table()
VARIABLES: Mapping[str, FlagRow] = {row.environment: row for row in FLAGS.values() if row.environment is not None}
"""Options by the environment variable they read."""
