"""Every option of llama-server b11434's own parser, as printed by it; b11669 takes the same.

One line an option: `value` takes one argument, `twice` two, `switch` none; the long name, its other spellings, and after `!`
the spellings that switch it off. `GONE` are options that end a start today, with what replaced them.
"""

from llmops.domain.engine import FlagRow, FlagTable

TWO_VALUES = frozenset({"--control-vector-layer-range"})

_ROWS = """
switch --help -h --usage
switch --version
switch --cache-list -cl
switch --completion-bash
value  --threads -t
value  --threads-batch -tb
value  --cpu-mask -C
value  --cpu-range -Cr
value  --cpu-strict
value  --prio
value  --poll
value  --cpu-mask-batch -Cb
value  --cpu-range-batch -Crb
value  --cpu-strict-batch
value  --prio-batch
value  --poll-batch
value  --lookup-cache-static -lcs
value  --lookup-cache-dynamic -lcd
value  --ctx-size -c
value  --kv-unified-per-slot
value  --predict -n --n-predict
value  --batch-size -b
value  --ubatch-size -ub
value  --keep
switch --swa-full
value  --ctx-checkpoints -ctxcp --swa-checkpoints
value  --checkpoint-min-step -cms
value  --cache-ram -cram
switch --kv-unified -kvu ! -no-kvu --no-kv-unified
switch --cache-idle-slots ! --no-cache-idle-slots
switch --context-shift ! --no-context-shift
value  --flash-attn -fa
switch --perf ! --no-perf
switch --escape -e ! --no-escape
value  --reverse-prompt -r
switch --special -sp
switch --warmup ! --no-warmup
switch --spm-infill
value  --samplers
value  --seed -s
value  --sampler-seq --sampling-seq
switch --ignore-eos
value  --temp --temperature
value  --top-k
value  --top-p
value  --min-p
value  --top-nsigma --top-n-sigma
value  --xtc-probability
value  --xtc-threshold
value  --typical --typical-p
value  --repeat-last-n
value  --repeat-penalty
value  --presence-penalty
value  --frequency-penalty
value  --dry-multiplier
value  --dry-base
value  --dry-allowed-length
value  --dry-penalty-last-n
value  --dry-sequence-breaker
value  --adaptive-target
value  --adaptive-decay
value  --dynatemp-range
value  --dynatemp-exp
value  --mirostat
value  --mirostat-lr
value  --mirostat-ent
value  --logit-bias -l
value  --grammar
value  --grammar-file
value  --json-schema -j
value  --json-schema-file -jf
switch --backend-sampling -bs
value  --pooling
value  --rope-scaling
value  --rope-scale
value  --rope-freq-base
value  --rope-freq-scale
value  --yarn-orig-ctx
value  --yarn-ext-factor
value  --yarn-attn-factor
value  --yarn-beta-slow
value  --yarn-beta-fast
switch --kv-offload -kvo ! -nkvo --no-kv-offload
switch --repack ! -nr --no-repack
switch --no-host
value  --cache-type-k -ctk
value  --cache-type-v -ctv
value  --defrag-thold -dt
value  --parallel -np
switch --cont-batching -cb ! -nocb --no-cont-batching
value  --mmproj -mm
value  --mmproj-url -mmu
switch --mmproj-auto ! --no-mmproj --no-mmproj-auto
switch --mmproj-offload ! --no-mmproj-offload
value  --mmproj-device -mmdev
value  --image-min-tokens
value  --image-max-tokens
value  --mtmd-batch-max-tokens
value  --video-fps
value  --video-timestamp-interval
value  --video-ffmpeg-dir
value  --rpc
value  --load-mode -lm
value  --lazy-mode -lzm
value  --numa
value  --device -dev
switch --list-devices
value  --override-tensor -ot
switch --cpu-moe -cmoe
value  --n-cpu-moe -ncmoe
value  --n-cpu-ffn -ncffn
value  --gpu-layers -ngl --n-gpu-layers
value  --split-mode -sm
value  --tensor-split -ts
value  --main-gpu -mg
value  --fit -fit
value  --fit-target -fitt
value  --fit-ctx -fitc
switch --check-tensors
value  --override-kv
switch --op-offload ! --no-op-offload
value  --lora
value  --lora-scaled
value  --control-vector
value  --control-vector-scaled
twice  --control-vector-layer-range
value  --alias -a
value  --tags
value  --model -m
value  --model-url -mu
value  --docker-repo -dr
value  --hf-repo -hf -hfr
value  --hf-file -hff
value  --hf-token -hft
value  --embd-normalize
value  --host
value  --port
switch --reuse-port
value  --path
value  --cors-origins
value  --cors-methods
value  --cors-headers
switch --cors-credentials ! --no-cors-credentials
value  --api-prefix
value  --ui-config --webui-config
value  --ui-config-file --webui-config-file
switch --ui-mcp-proxy --webui-mcp-proxy ! --no-ui-mcp-proxy --no-webui-mcp-proxy
value  --tools
value  --tools-runtime
value  --mcp-servers-config
value  --mcp-servers-json
switch --agent -ag ! -no-ag --no-agent
switch --ui --webui ! --no-ui --no-webui
switch --embedding --embeddings
switch --reranking --rerank
value  --api-key
value  --api-key-file
value  --ssl-key-file
value  --ssl-cert-file
value  --chat-template-kwargs
value  --timeout -to
value  --sse-ping-interval
value  --threads-http
switch --cache-prompt ! --no-cache-prompt
value  --cache-reuse
switch --metrics
switch --props
switch --slots ! --no-slots
value  --slot-save-path
value  --media-path
value  --models-dir
value  --models-preset
value  --models-max
switch --models-autoload ! --no-models-autoload
switch --jinja ! --no-jinja
value  --reasoning-format
value  --reasoning -rea
value  --reasoning-effort
value  --reasoning-budget
value  --reasoning-budget-message
switch --reasoning-preserve ! --no-reasoning-preserve
value  --chat-template
value  --chat-template-file
switch --skip-chat-parsing ! --no-skip-chat-parsing
switch --prefill-assistant ! --no-prefill-assistant
value  --slot-prompt-similarity -sps
switch --lora-init-without-apply
value  --sleep-idle-seconds
switch --log-disable
value  --log-file
switch --log-jsonl ! --no-log-jsonl
value  --log-prompts-dir
value  --log-colors
switch --verbose -v --log-verbose
switch --offline
value  --verbosity -lv --log-verbosity
switch --log-prefix ! --no-log-prefix
switch --log-timestamps ! --no-log-timestamps
value  --spec-draft-hf -hfd -hfrd --hf-repo-draft
value  --spec-draft-threads -td --threads-draft
value  --spec-draft-threads-batch -tbd --threads-batch-draft
value  --spec-draft-cpu-mask -Cd --cpu-mask-draft
value  --spec-draft-cpu-range -Crd --cpu-range-draft
value  --spec-draft-cpu-strict --cpu-strict-draft
value  --spec-draft-prio --prio-draft
value  --spec-draft-poll --poll-draft
value  --spec-draft-cpu-mask-batch -Cbd --cpu-mask-batch-draft
value  --spec-draft-cpu-strict-batch --cpu-strict-batch-draft
value  --spec-draft-prio-batch --prio-batch-draft
value  --spec-draft-poll-batch --poll-batch-draft
value  --spec-draft-type-k -ctkd --cache-type-k-draft
value  --spec-draft-type-v -ctvd --cache-type-v-draft
value  --spec-draft-override-tensor -otd --override-tensor-draft
switch --spec-draft-cpu-moe -cmoed --cpu-moe-draft
value  --spec-draft-n-cpu-moe --spec-draft-ncmoe -ncmoed --n-cpu-moe-draft
value  --spec-draft-n-max
value  --spec-draft-n-min
value  --spec-synth-len
value  --spec-synth-rates
value  --spec-draft-p-split --draft-p-split
value  --spec-draft-p-min --draft-p-min
switch --spec-draft-backend-sampling ! --no-spec-draft-backend-sampling
value  --spec-draft-sampling
value  --spec-draft-device -devd --device-draft
value  --spec-draft-ngl -ngld --gpu-layers-draft --n-gpu-layers-draft
value  --spec-draft-model -md --model-draft
value  --spec-type
value  --spec-ngram-mod-n-min
value  --spec-ngram-mod-n-max
value  --spec-ngram-mod-n-match
value  --spec-ngram-simple-size-n
value  --spec-ngram-simple-size-m
value  --spec-ngram-simple-min-hits
value  --spec-ngram-map-k-size-n
value  --spec-ngram-map-k-size-m
value  --spec-ngram-map-k-min-hits
value  --spec-ngram-map-k4v-size-n
value  --spec-ngram-map-k4v-size-m
value  --spec-ngram-map-k4v-min-hits
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
value  stop-timeout
value  dedup-cache-models
"""

_GONE = """
--draft --draft-n --draft-max > --spec-draft-n-max
--draft-min --draft-n-min > --spec-draft-n-min
--spec-ngram-size-n > --spec-ngram-simple-size-n
--spec-ngram-size-m > --spec-ngram-simple-size-m
--spec-ngram-min-hits > --spec-ngram-simple-min-hits
--mlock > --load-mode mlock
--no-mmap > --load-mode none
--mmap > --load-mode mmap
-dio --direct-io > --load-mode dio
-cd --ctx-size-draft >
-dkvc --dump-kv-cache >
--verbose-prompt >
--sliding-window >
"""


def _table() -> FlagTable:
    table: dict[str, FlagRow] = {}
    for line in _ROWS.strip().splitlines():
        kind, name, *spellings = line.split()
        aliases, _, negated = " ".join(spellings).partition("!")
        row = FlagRow(name=name, aliases=tuple(aliases.split()), value=kind != "switch", negated=tuple(negated.split()))
        table |= dict.fromkeys((row.name, *row.aliases, *row.negated), row)
    for line in _GONE.strip().splitlines():
        names, _, instead = line.partition(">")
        gone, *others = names.split()
        row = FlagRow(name=gone, aliases=tuple(others), removed=instead.strip())
        table |= dict.fromkeys((row.name, *row.aliases), row)
    return table


FLAGS: FlagTable = _table()
