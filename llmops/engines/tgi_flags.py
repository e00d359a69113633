"""Every option of text-generation-launcher 3.3.6-dev0 (launcher/src/main.rs); each is a variable, too, as `MODEL_ID`."""

from llmops.engines.option_line import table

_ROWS = """
value  --model-id
value  --revision
whole  --validation-workers
value  --sharded
whole  --num-shard
value  --quantize
whole  --speculate
value  --dtype
value  --kv-cache-dtype
switch --trust-remote-code
whole  --max-concurrent-requests
whole  --max-best-of
whole  --max-stop-sequences
whole  --max-top-n-tokens
whole  --max-input-tokens
whole  --max-input-length
whole  --max-total-tokens
float  --waiting-served-ratio
whole  --max-batch-prefill-tokens
whole  --max-batch-total-tokens
whole  --max-waiting-tokens
whole  --max-batch-size
value  --cuda-graphs
value  --hostname
whole  --port
whole  --prometheus-port
value  --shard-uds-path
value  --master-addr
whole  --master-port
value  --huggingface-hub-cache
value  --weights-cache-override
switch --disable-custom-kernels
float  --cuda-memory-fraction
value  --rope-scaling
float  --rope-factor
switch --json-output
value  --otlp-endpoint
value  --otlp-service-name
value  --cors-allow-origin
value  --api-key
float  --watermark-gamma
float  --watermark-delta
switch --ngrok
value  --ngrok-authtoken
value  --ngrok-edge
value  --tokenizer-config-path
switch --disable-grammar-support
switch --env
whole  --max-client-batch-size
value  --lora-adapters
value  --usage-stats
whole  --payload-limit
switch --enable-prefill-logprobs
whole  --graceful-termination-timeout
"""

_CHOICES = """
--quantize awq compressed-tensors eetq exl2 gptq marlin bitsandbytes bitsandbytes-nf4 bitsandbytes-fp4 fp8
--dtype float16 bfloat16
--kv-cache-dtype fp8_e4m3fn fp8_e5m2
--usage-stats on no-stack off
"""

OPTIONS = table(_ROWS, _CHOICES)
