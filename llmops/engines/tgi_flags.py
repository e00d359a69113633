"""Every option of text-generation-launcher 3.3.6-dev0 (launcher/src/main.rs); each is a variable, too, as `MODEL_ID`.

Limits: its unsigned numbers, ports of 16 bit, `find_num_shards`, and what router/src/main.rs refuses.
"""

from llmops.engines.option_line import table

_ROWS = """
value: --model-id --revision --sharded --quantize --dtype --kv-cache-dtype --cuda-graphs --hostname --shard-uds-path
  --master-addr --huggingface-hub-cache --weights-cache-override --rope-scaling --otlp-endpoint --otlp-service-name
  --cors-allow-origin --api-key --ngrok-authtoken --ngrok-edge --tokenizer-config-path --lora-adapters --usage-stats
whole: --validation-workers --num-shard --speculate --max-concurrent-requests --max-best-of --max-stop-sequences
  --max-top-n-tokens --max-input-tokens --max-input-length --max-total-tokens --max-batch-prefill-tokens
  --max-batch-total-tokens --max-waiting-tokens --max-batch-size --port --prometheus-port --master-port
  --max-client-batch-size --payload-limit --graceful-termination-timeout
switch: --trust-remote-code --disable-custom-kernels --json-output --ngrok --disable-grammar-support --env
  --enable-prefill-logprobs
float: --waiting-served-ratio --cuda-memory-fraction --rope-factor --watermark-gamma --watermark-delta
"""

_CHOICES = """
--quantize awq compressed-tensors eetq exl2 gptq marlin bitsandbytes bitsandbytes-nf4 bitsandbytes-fp4 fp8
--dtype float16 bfloat16
--kv-cache-dtype fp8_e4m3fn fp8_e5m2
--usage-stats on no-stack off
"""

_LIMITS = """
0 --speculate --max-concurrent-requests --max-best-of --max-stop-sequences --max-top-n-tokens --max-input-tokens
  --max-input-length --max-batch-prefill-tokens --max-batch-total-tokens --max-waiting-tokens
  --master-port --max-client-batch-size --payload-limit --graceful-termination-timeout
0-65535 --port --prometheus-port
1 --max-batch-size --num-shard --validation-workers --max-total-tokens
"""

OPTIONS = table(_ROWS, _CHOICES, _LIMITS)
