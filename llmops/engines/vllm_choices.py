"""What options of `vllm serve` 0.33.0 take that have a fixed list of words: from its parser and its two registries of parsers.

Source: vLLM 0.33.0, the choices of its argument parser; tool_parsers/__init__.py, reasoning/__init__.py; model_executor/layers/
quantization/__init__.py.
"""

_ROWS = """
--all2all-backend: allgather_reducescatter deepep_high_throughput deepep_low_latency deepep_v2 flashinfer_all2allv
  flashinfer_nvlink_one_sided flashinfer_nvlink_two_sided moonep mori_high_throughput mori_low_latency naive nixl_ep pplx
--anthropic-disabled-thinking-effort: auto high low max medium none xhigh
--chat-template-content-format: auto openai string
--convert: auto classify embed none
--dcp-comm-backend: a2a ag_rs
--dtype: auto bfloat16 float float16 float32 half
--expert-placement-strategy: linear round_robin
--fingerprint-mode: custom full hash none
--gdn-prefill-backend: aiter_flydsl cutedsl flashinfer sycl triton
--jit-monitor-mode: error warn
--kda-decode-backend: auto flashinfer native triton
--kda-prefill-backend: auto flashinfer flashkda fused triton
--kv-cache-dtype: auto bfloat16 float16 fp8 fp8_ds_mla fp8_e4m3 fp8_e5m2 fp8_inc fp8_per_token_head int4_per_token_head
  int8_per_token_head nvfp4 nvfp4_4over6 nvfp4_ds_mla octave_k3v3 octave_k3v3_compact octave_k3v4 turboquant_3bit_nc
  turboquant_4bit_nc turboquant_k3v4_nc turboquant_k8v4 ultraquant_4bit
--kv-offloading-backend: lmcache native
--linear-backend: aiter auto b12x conch cutlass deep_gemm emulation exllama fbgemm flashinfer_b12x flashinfer_cudnn
  flashinfer_cutedsl flashinfer_cutlass flashinfer_trtllm humming machete marlin torch triton xpu xpu_woq
--log-level: CRITICAL DEBUG ERROR INFO NOTSET WARNING
--logprobs-mode: processed_logits processed_logprobs raw_logits raw_logprobs
--lora-dtype: auto bfloat16 float16
--mamba-cache-dtype: auto bfloat16 float16 float32
--mamba-cache-mode: align none
--mamba-ssm-cache-dtype: auto bfloat16 float16 float32
--mamba-ssu-algorithm: auto horizontal simple vertical
--max-lora-rank: 1 128 16 256 32 320 512 64 8
--mm-encoder-attn-dtype: fp8
--mm-encoder-tp-mode: data weights
--mm-hasher-algorithm: blake3 sha256 sha512
--mm-processor-cache-type: lru shm
--mm-processor-device: auto cpu cuda
--mm-tensor-ipc: direct_rpc torch_shm
--moe-backend: aiter aiter_mega_moe aiter_triton_mxfp4_bf16 aiter_triton_mxfp4_mxfp4 auto b12x batched_triton cutlass
  deep_gemm deep_gemm_mega_moe emulation flashinfer_b12x flashinfer_cutedsl flashinfer_cutlass flashinfer_moe_ep_cutedsl
  flashinfer_moe_ep_mega_deep_gemm flashinfer_trtllm flydsl hpc humming marlin rdna3 triton triton_unfused
--offload-backend: auto prefetch uva
--per-request-spec-decode-metrics: detailed none summary
--performance-mode: balanced interactivity throughput
--prefix-caching-hash-algo: sha256 sha256_cbor xxhash xxhash_cbor
--quantization: auto_awq auto_gptq awq awq_marlin compressed-tensors deepseek_v4_fp8 experts_int8 fbgemm_fp8 fp8
  fp8_per_block fp8_per_channel fp8_per_tensor fp_quant gpt_oss_mxfp4 gptq gptq_marlin humming inc
  int8_per_channel_weight_only modelopt modelopt_fp4 modelopt_mixed modelopt_mxfp8 moe_wna16 mxfp4 mxfp8 nvfp4_per_token
  online quark torchao
--reasoning-parser: beam cohere_command3 cohere_command4 deepseek_r1 deepseek_v3 deepseek_v4 deepseek_v41 ernie45 gemma4
  glm45 glm47 granite granite_thinking_parser hf holo2 hunyuan_a13b hy_v3 hy_v4 inkling k2_horizon kimi_k2 kimi_k3 ling3 mimo
  minicpmv minimax_m2 minimax_m2_append_think minimax_m3 mistral muse muse_glimmer musespark1x nemotron_v3 olmo3
  openai_gptoss plamo3 poolside_v1 qwen3 seed_oss step3 step3p5 step5
--runner: auto draft generate pooling
--safetensors-load-strategy: eager lazy prefetch torchao
--scheduling-policy: fcfs priority
--sparse-indexer-topk-backend: aiter auto cooperative deep_select flashinfer per_row persistent torch
--spec-method: bailing_hybrid_mtp bailing_hybrid_v3_mtp custom_class deepseek_mtp dflash dots3_note_mtp draft_model dspark
  eagle eagle3 ernie_mtp exaone4_5_mtp exaone_moe_mtp extract_hidden_states gemma4_mtp glm4_moe_lite_mtp glm4_moe_mtp
  glm5_next_mtp glm_ocr_mtp hy_v3_mtp hy_v4_mtp inkling_mtp kimi_k3_mtp longcat_flash_mtp mimo_mtp mimo_v2_mtp minimax_m3_mtp
  mtp nemotron_h_mtp ngram ngram_gpu pangu_ultra_moe_mtp qwen3_5_mtp qwen3_next_mtp qwen4_exp_mtp step3p5_mtp step5_mtp
  suffix
--tool-call-parser: apertus beam cohere_command3 cohere_command4 deepseek_v3 deepseek_v31 deepseek_v32 deepseek_v4
  deepseek_v41 dots ernie45 functiongemma gemma4 gigachat3 glm45 glm47 granite granite-20b-fc granite4 hermes hf hunyuan_a13b
  hy_v3 hy_v4 inkling internlm jamba k2_horizon kimi_k2 kimi_k3 lfm2 ling3 llama3_json llama4_json llama4_pythonic longcat
  mimo minicpm5 minimax_m2 minimax_m3 mistral muse muse_glimmer musespark1x olmo3 openai phi4_mini_json plamo3 poolside_v1
  pythonic qwen3_coder qwen3_json qwen3_xml seed_oss step3 step3p5 step5 xlam
--tool-strict-level: auto function parameter
--uvicorn-log-level: critical debug error info trace warning
--video-pruning-method: evs vidcom2
"""

GONE_FORMATS = frozenset({"bitsandbytes", "gguf"})
"""Quantizations of earlier releases, of which the engine matrix says more."""

BY_PLUGIN = {"--tool-call-parser": "--tool-parser-plugin", "--reasoning-parser": "--reasoning-parser-plugin"}
"""Lists that a file of Python may add to."""

UNLISTED_DRAFTERS = frozenset({"medusa", "mlp_speculator"})
"""Methods that the parser does not name and the code still has."""


def _choices() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for line in _ROWS.replace("\n  ", " ").strip().splitlines():
        name, _, words = line.partition(": ")
        found[name] = frozenset(words.split())
    return found


CHOICES = _choices()
DRAFTERS = CHOICES["--spec-method"] | UNLISTED_DRAFTERS


def taken_words(name: str) -> frozenset[str] | None:
    """What the option takes; None: anything. Quantizations that are gone are judged elsewhere."""
    found = CHOICES.get(name)
    return found | GONE_FORMATS if found is not None and name == "--quantization" else found
