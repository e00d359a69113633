"""What the config classes of transformers 5.23.0 put in where a config.json has no such key; a line a class.

Only numbers and flags that a shape can depend on. Not the hidden size and not the number of layers: a file without
these is no whole model's. Made on 2026-11-21 by reading `CONFIG_MAPPING[...]().to_dict()`;
what a class works out of other values is left out.
"""

from collections.abc import Mapping
from functools import cache

from llmops.formats.recent_defaults import TEXT

_TEXT = """
llama: vocab_size=32000 intermediate_size=11008 num_attention_heads=32 max_position_embeddings=2048
  tie_word_embeddings=false attention_bias=false mlp_bias=false
mistral: vocab_size=32000 intermediate_size=14336 num_attention_heads=32 num_key_value_heads=8
  max_position_embeddings=131072 tie_word_embeddings=false sliding_window=4096
mixtral: vocab_size=32000 intermediate_size=14336 num_attention_heads=32 num_key_value_heads=8
  max_position_embeddings=131072 tie_word_embeddings=false num_experts_per_tok=2 num_local_experts=8
qwen2: vocab_size=151936 intermediate_size=22016 num_attention_heads=32 num_key_value_heads=32
  max_position_embeddings=32768 tie_word_embeddings=false use_sliding_window=false max_window_layers=28
qwen2_moe: vocab_size=151936 intermediate_size=5632 num_attention_heads=16 num_key_value_heads=16
  max_position_embeddings=32768 tie_word_embeddings=false use_sliding_window=false sliding_window=0
  max_window_layers=28 decoder_sparse_step=1 moe_intermediate_size=1408 shared_expert_intermediate_size=5632
  num_experts_per_tok=4 num_experts=60 qkv_bias=true
qwen3: vocab_size=151936 intermediate_size=22016 num_attention_heads=32 num_key_value_heads=32 head_dim=128
  max_position_embeddings=32768 tie_word_embeddings=false attention_bias=false use_sliding_window=false
  max_window_layers=28
qwen3_moe: vocab_size=151936 intermediate_size=6144 num_attention_heads=32 num_key_value_heads=4
  max_position_embeddings=32768 tie_word_embeddings=false attention_bias=false use_sliding_window=false
  decoder_sparse_step=1 moe_intermediate_size=768 num_experts_per_tok=8
qwen3_next: vocab_size=151936 intermediate_size=5632 num_attention_heads=16 num_key_value_heads=2
  max_position_embeddings=32768 tie_word_embeddings=false attention_bias=false head_dim=256 linear_conv_kernel_dim=4
  linear_key_head_dim=128 linear_value_head_dim=128 linear_num_key_heads=16 linear_num_value_heads=32
  decoder_sparse_step=1 moe_intermediate_size=512 shared_expert_intermediate_size=512 num_experts_per_tok=10
  num_experts=512
qwen3_5_text: vocab_size=248320 intermediate_size=12288 num_attention_heads=16 num_key_value_heads=4
  max_position_embeddings=32768 tie_word_embeddings=false attention_bias=false head_dim=256 linear_conv_kernel_dim=4
  linear_key_head_dim=128 linear_value_head_dim=128 linear_num_key_heads=16 linear_num_value_heads=32
qwen3_5_moe_text: vocab_size=248320 num_attention_heads=16 num_key_value_heads=2 max_position_embeddings=32768
  tie_word_embeddings=false attention_bias=false head_dim=256 linear_conv_kernel_dim=4 linear_key_head_dim=128
  linear_value_head_dim=128 linear_num_key_heads=16 linear_num_value_heads=32 moe_intermediate_size=512
  shared_expert_intermediate_size=512 num_experts_per_tok=8 num_experts=256
qwen4_exp_text: vocab_size=248320 num_attention_heads=16 num_key_value_heads=2 max_position_embeddings=32768
  tie_word_embeddings=false attention_bias=false head_dim=256 linear_conv_kernel_dim=4 linear_key_head_dim=128
  linear_value_head_dim=128 linear_num_key_heads=16 linear_num_value_heads=32 moe_intermediate_size=512
  shared_expert_intermediate_size=512 num_experts_per_tok=10 num_experts=512 hc_count=4 hc_lowrank=320
  ple_conv_kernel_size=4 heads_per_ngram=8 ngram_vocab_size_base=20000000 make_ngram_vocab_size_divisible_by=128
  split_ngram_parts=512
qwen2_vl_text: vocab_size=152064 intermediate_size=29568 num_attention_heads=64 num_key_value_heads=8
  max_position_embeddings=32768 use_sliding_window=false max_window_layers=80
qwen2_5_vl_text: vocab_size=152064 intermediate_size=29568 num_attention_heads=64 num_key_value_heads=8
  max_position_embeddings=32768 use_sliding_window=false max_window_layers=80
qwen3_vl_text: vocab_size=151936 intermediate_size=22016 num_attention_heads=32 num_key_value_heads=32 head_dim=128
  max_position_embeddings=128000 attention_bias=false
qwen3_vl_moe_text: vocab_size=151936 intermediate_size=5632 num_attention_heads=16 num_key_value_heads=16
  max_position_embeddings=128000 tie_word_embeddings=true attention_bias=false decoder_sparse_step=1
  moe_intermediate_size=1408 num_experts_per_tok=4
qwen2_5_omni_text: vocab_size=152064 intermediate_size=18944 num_attention_heads=28 num_key_value_heads=4
  max_position_embeddings=32768 use_sliding_window=false max_window_layers=28 tie_word_embeddings=true
qwen3_omni_moe_text: vocab_size=3584 intermediate_size=18944 num_attention_heads=28 num_key_value_heads=4
  max_position_embeddings=32768 attention_bias=false decoder_sparse_step=1 moe_intermediate_size=768
  num_experts_per_tok=8 num_experts=128
gemma: vocab_size=256000 intermediate_size=24576 num_attention_heads=16 num_key_value_heads=16 head_dim=256
  max_position_embeddings=8192 tie_word_embeddings=true attention_bias=false
gemma2: vocab_size=256000 intermediate_size=9216 num_attention_heads=8 num_key_value_heads=4 head_dim=256
  max_position_embeddings=8192 tie_word_embeddings=true attention_bias=false sliding_window=4096
gemma3_text: vocab_size=262208 intermediate_size=9216 num_attention_heads=8 num_key_value_heads=4 head_dim=256
  max_position_embeddings=131072 tie_word_embeddings=true attention_bias=false sliding_window=4096
  use_bidirectional_attention=false
gemma3n_text: vocab_size=262400 num_attention_heads=8 num_key_value_heads=2 head_dim=256
  max_position_embeddings=32768 tie_word_embeddings=true attention_bias=false sliding_window=512
  vocab_size_per_layer_input=262144 hidden_size_per_layer_input=256 altup_num_inputs=4 num_kv_shared_layers=15
  laurel_rank=64
gemma4_text: vocab_size=262144 intermediate_size=9216 num_attention_heads=8 num_key_value_heads=4 head_dim=256
  max_position_embeddings=131072 tie_word_embeddings=true attention_bias=false sliding_window=512
  vocab_size_per_layer_input=262144 hidden_size_per_layer_input=256 attention_k_eq_v=false num_kv_shared_layers=0
  enable_moe_block=false use_double_wide_mlp=false
gemma4_unified_text: vocab_size=262144 intermediate_size=9216 num_attention_heads=8 num_key_value_heads=4
  head_dim=256 max_position_embeddings=262144 tie_word_embeddings=true attention_bias=false sliding_window=1024
  attention_k_eq_v=false num_kv_shared_layers=0 use_double_wide_mlp=false
phi: vocab_size=51200 intermediate_size=8192 num_attention_heads=32 max_position_embeddings=2048
  tie_word_embeddings=false qk_layernorm=false
phi3: vocab_size=32064 intermediate_size=8192 num_attention_heads=32 max_position_embeddings=4096
  original_max_position_embeddings=4096 tie_word_embeddings=false
phimoe: vocab_size=32064 intermediate_size=6400 num_attention_heads=32 num_key_value_heads=8
  max_position_embeddings=131072 tie_word_embeddings=false num_experts_per_tok=2 num_local_experts=16
  attention_bias=false lm_head_bias=false
phi4_multimodal: vocab_size=200064 intermediate_size=8192 num_attention_heads=32 num_key_value_heads=8
  max_position_embeddings=131072 original_max_position_embeddings=4096 tie_word_embeddings=false
deepseek_v2: vocab_size=102400 intermediate_size=11008 num_attention_heads=32 max_position_embeddings=2048
  tie_word_embeddings=false attention_bias=false mlp_bias=false first_k_dense_replace=0 kv_lora_rank=512
  q_lora_rank=1536 n_routed_experts=64 n_shared_experts=2 qk_nope_head_dim=128 qk_rope_head_dim=64 v_head_dim=128
  moe_intermediate_size=1407
deepseek_v3: vocab_size=129280 intermediate_size=18432 moe_intermediate_size=2048 num_attention_heads=128
  num_key_value_heads=128 n_shared_experts=1 n_routed_experts=256 kv_lora_rank=512 q_lora_rank=1536
  qk_rope_head_dim=64 v_head_dim=128 qk_nope_head_dim=128 num_experts_per_tok=8 first_k_dense_replace=3
  max_position_embeddings=4096 tie_word_embeddings=false attention_bias=false
deepseek_v32: vocab_size=129280 intermediate_size=18432 moe_intermediate_size=2048 num_attention_heads=128
  num_key_value_heads=128 n_shared_experts=1 n_routed_experts=256 kv_lora_rank=512 q_lora_rank=1536
  qk_rope_head_dim=64 v_head_dim=128 qk_nope_head_dim=128 num_experts_per_tok=8 max_position_embeddings=163840
  tie_word_embeddings=false attention_bias=false index_topk=2048 index_head_dim=128 index_n_heads=64 mlp_bias=false
  head_dim=64 first_k_dense_replace=3
deepseek_v4: vocab_size=129280 moe_intermediate_size=2048 num_attention_heads=64 num_key_value_heads=1 head_dim=512
  q_lora_rank=1024 num_experts_per_tok=6 n_routed_experts=256 n_shared_experts=1 max_position_embeddings=1048576
  hc_mult=4 sliding_window=128 o_groups=8 o_lora_rank=1024 index_n_heads=64 index_head_dim=128 index_topk=512
  num_nextn_predict_layers=1 tie_word_embeddings=false attention_bias=false mlp_bias=false
glm: vocab_size=151552 intermediate_size=13696 num_attention_heads=32 num_key_value_heads=2 head_dim=128
  max_position_embeddings=131072 tie_word_embeddings=false attention_bias=true
glm4: vocab_size=151552 intermediate_size=13696 num_attention_heads=32 num_key_value_heads=2 head_dim=128
  max_position_embeddings=131072 tie_word_embeddings=false attention_bias=true
glm4_moe: vocab_size=151552 intermediate_size=10944 num_attention_heads=96 num_key_value_heads=8
  max_position_embeddings=131072 tie_word_embeddings=false attention_bias=false moe_intermediate_size=1408
  num_experts_per_tok=8 n_shared_experts=1 n_routed_experts=128 first_k_dense_replace=1 use_qk_norm=false
glm4_moe_lite: vocab_size=154880 intermediate_size=10240 moe_intermediate_size=1536 num_attention_heads=20
  num_key_value_heads=20 n_shared_experts=1 n_routed_experts=64 kv_lora_rank=512 q_lora_rank=768 qk_rope_head_dim=64
  v_head_dim=256 qk_nope_head_dim=192 num_experts_per_tok=4 max_position_embeddings=202752 tie_word_embeddings=false
  attention_bias=false
glm_moe_dsa: vocab_size=154880 intermediate_size=12288 moe_intermediate_size=2048 num_attention_heads=64
  num_key_value_heads=64 n_shared_experts=1 n_routed_experts=256 kv_lora_rank=512 q_lora_rank=2048
  qk_rope_head_dim=64 v_head_dim=256 qk_nope_head_dim=192 num_experts_per_tok=8 max_position_embeddings=202752
  tie_word_embeddings=false attention_bias=false index_topk=2048 index_head_dim=128 index_n_heads=32 mlp_bias=false
  head_dim=64 first_k_dense_replace=3
glm4v_text: vocab_size=151552 intermediate_size=13696 num_attention_heads=32 num_key_value_heads=2
  max_position_embeddings=32768
glm4v_moe_text: vocab_size=151424 intermediate_size=10944 num_attention_heads=96 num_key_value_heads=8
  max_position_embeddings=65536 tie_word_embeddings=false attention_bias=true moe_intermediate_size=1408
  num_experts_per_tok=8 n_shared_experts=1 n_routed_experts=128 first_k_dense_replace=1
glm5_next_text: vocab_size=154880 intermediate_size=12288 moe_intermediate_size=2048 num_attention_heads=64
  num_key_value_heads=64 n_shared_experts=1 n_routed_experts=288 kv_lora_rank=512 q_lora_rank=1536
  qk_rope_head_dim=0 v_head_dim=256 qk_nope_head_dim=256 num_experts_per_tok=8 max_position_embeddings=1048576
  tie_word_embeddings=false attention_bias=false index_topk=2048 index_head_dim=128 index_n_heads=32 head_dim=0
  linear_head_dim=128 linear_num_heads=64 linear_conv_kernel_dim=4 hc_mult=4 index_kpool=16
gpt_oss: num_local_experts=128 vocab_size=201088 intermediate_size=2880 head_dim=64 num_attention_heads=64
  num_key_value_heads=8 sliding_window=128 tie_word_embeddings=false max_position_embeddings=131072
  num_experts_per_tok=4 attention_bias=true
granite: vocab_size=32000 intermediate_size=11008 num_attention_heads=32 max_position_embeddings=2048
  tie_word_embeddings=false attention_bias=false mlp_bias=false
granitemoe: vocab_size=32000 intermediate_size=11008 num_attention_heads=32 max_position_embeddings=2048
  tie_word_embeddings=false attention_bias=false num_local_experts=8 num_experts_per_tok=2
granitemoeshared: vocab_size=32000 intermediate_size=11008 num_attention_heads=32 max_position_embeddings=2048
  tie_word_embeddings=false attention_bias=false num_local_experts=8 num_experts_per_tok=2
  shared_intermediate_size=0
granitemoehybrid: vocab_size=32000 intermediate_size=11008 num_attention_heads=32 max_position_embeddings=2048
  tie_word_embeddings=false attention_bias=false num_local_experts=8 num_experts_per_tok=2
  shared_intermediate_size=1024 mamba_n_heads=128 mamba_n_groups=1 mamba_d_state=256 mamba_d_head=64 mamba_d_conv=4
  mamba_expand=2 mamba_conv_bias=true mamba_proj_bias=false
nemotron: vocab_size=256000 intermediate_size=24576 num_attention_heads=48 max_position_embeddings=4096
  tie_word_embeddings=false attention_bias=false mlp_bias=false
nemotron_h: vocab_size=131072 tie_word_embeddings=false num_attention_heads=32 num_key_value_heads=8 head_dim=128
  max_position_embeddings=4096 attention_bias=false intermediate_size=21504 mlp_bias=false ssm_state_size=128
  mamba_num_heads=128 mamba_head_dim=64 n_groups=8 conv_kernel=4 expand=2 use_conv_bias=true mamba_proj_bias=false
  n_routed_experts=8 n_shared_experts=1 moe_intermediate_size=7688 moe_shared_expert_intermediate_size=7688
  num_experts_per_tok=2 num_nextn_predict_layers=0 use_bias=false
kimi_linear: vocab_size=163840 intermediate_size=9216 moe_intermediate_size=1024 num_attention_heads=32
  num_key_value_heads=32 kv_lora_rank=512 qk_rope_head_dim=64 v_head_dim=128 qk_nope_head_dim=128
  tie_word_embeddings=false attention_bias=false linear_head_dim=128 linear_num_heads=32 linear_conv_kernel_dim=4
minimax: vocab_size=32000 intermediate_size=14336 num_attention_heads=32 num_key_value_heads=8
  max_position_embeddings=131072 tie_word_embeddings=false num_experts_per_tok=2 num_local_experts=8
minimax_m2: vocab_size=200064 intermediate_size=1536 num_attention_heads=48 num_key_value_heads=8 head_dim=128
  max_position_embeddings=196608 tie_word_embeddings=false num_experts_per_tok=8 num_local_experts=256
minimax_m3_vl_text: vocab_size=200064 intermediate_size=3072 num_attention_heads=64 num_key_value_heads=4
  head_dim=128 max_position_embeddings=524288 tie_word_embeddings=false num_experts_per_tok=4 num_local_experts=128
  dense_intermediate_size=12288 shared_intermediate_size=3072 index_n_heads=4 index_head_dim=128
cohere: vocab_size=256000 intermediate_size=22528 num_attention_heads=64 max_position_embeddings=8192
  tie_word_embeddings=true attention_bias=false use_qk_norm=false
cohere2: vocab_size=256000 intermediate_size=22528 num_attention_heads=64 max_position_embeddings=8192
  tie_word_embeddings=true attention_bias=false sliding_window=4096
falcon: vocab_size=65024 num_attention_heads=71 alibi=false new_decoder_architecture=false multi_query=true
  parallel_attn=true bias=false max_position_embeddings=2048 tie_word_embeddings=true
falcon_h1: vocab_size=128000 tie_word_embeddings=false intermediate_size=14336 num_attention_heads=32
  num_key_value_heads=8 max_position_embeddings=8192 mamba_d_ssm=1024 mamba_n_heads=128 mamba_d_head=8
  mamba_n_groups=1 mamba_d_state=256 mamba_d_conv=4 mamba_expand=2 mamba_conv_bias=true mamba_proj_bias=false
  mamba_rms_norm=false projectors_bias=false attention_bias=false mlp_bias=false
falcon_mamba: vocab_size=50280 state_size=16 expand=2 conv_kernel=4 use_bias=false use_conv_bias=true
  time_step_rank=48 tie_word_embeddings=true
mamba: vocab_size=50280 state_size=16 expand=2 conv_kernel=4 use_bias=false use_conv_bias=true time_step_rank=48
  tie_word_embeddings=true
mamba2: num_heads=128 head_dim=64 vocab_size=32768 state_size=128 expand=2 conv_kernel=4 n_groups=8 use_bias=false
  use_conv_bias=true time_step_rank=256 tie_word_embeddings=false
olmo: vocab_size=50304 intermediate_size=11008 num_attention_heads=32 max_position_embeddings=2048
  tie_word_embeddings=false attention_bias=false
olmo2: vocab_size=50304 intermediate_size=11008 num_attention_heads=32 max_position_embeddings=2048
  tie_word_embeddings=false attention_bias=false
olmo3: vocab_size=50304 intermediate_size=11008 num_attention_heads=32 max_position_embeddings=2048
  tie_word_embeddings=false attention_bias=false sliding_window=4096
olmoe: vocab_size=50304 intermediate_size=2048 num_attention_heads=16 max_position_embeddings=4096
  tie_word_embeddings=false attention_bias=false num_experts_per_tok=8 num_experts=64
olmo_hybrid: vocab_size=100352 intermediate_size=11008 num_attention_heads=30 max_position_embeddings=65536
  tie_word_embeddings=false attention_bias=false linear_conv_kernel_dim=4
smollm3: vocab_size=128256 intermediate_size=11008 num_attention_heads=16 num_key_value_heads=4
  max_position_embeddings=32768 use_sliding_window=false no_rope_layer_interval=4 attention_bias=false
  mlp_bias=false tie_word_embeddings=true
lfm2: vocab_size=65536 intermediate_size=12288 num_attention_heads=32 num_key_value_heads=8
  max_position_embeddings=128000 tie_word_embeddings=true conv_bias=false conv_L_cache=3 block_multiple_of=256
  block_auto_adjust_ff_dim=true
lfm2_moe: vocab_size=65536 intermediate_size=7168 moe_intermediate_size=1792 tie_word_embeddings=true
  max_position_embeddings=128000 num_attention_heads=32 num_key_value_heads=8 conv_bias=false conv_L_cache=3
  num_dense_layers=2 num_experts_per_tok=4 num_experts=32 use_expert_bias=true
exaone4: vocab_size=102400 intermediate_size=16384 num_attention_heads=32 num_key_value_heads=32
  max_position_embeddings=2048 tie_word_embeddings=false sliding_window=4096 sliding_window_pattern=4
exaone_moe: vocab_size=102400 intermediate_size=16384 num_attention_heads=32 num_key_value_heads=32
  max_position_embeddings=2048 tie_word_embeddings=false sliding_window=4096 sliding_window_pattern=4
  first_k_dense_replace=1 moe_intermediate_size=1024 num_experts=64 num_experts_per_tok=8 num_shared_experts=1
hunyuan_v1_dense: vocab_size=290943 intermediate_size=11008 num_attention_heads=32 max_position_embeddings=2048
  tie_word_embeddings=false attention_bias=false
hunyuan_v1_moe: vocab_size=290943 intermediate_size=11008 num_attention_heads=32 max_position_embeddings=2048
  tie_word_embeddings=false attention_bias=false num_experts=1 moe_topk=1
hy_v3: vocab_size=120832 intermediate_size=13312 num_attention_heads=64 num_key_value_heads=8 head_dim=128
  max_position_embeddings=131072 tie_word_embeddings=false attention_bias=false mlp_bias=false num_experts=192
  num_experts_per_tok=8 num_shared_experts=1 moe_intermediate_size=1536
seed_oss: vocab_size=155136 intermediate_size=27648 num_attention_heads=80 num_key_value_heads=8
  max_position_embeddings=524288 tie_word_embeddings=false attention_bias=true attention_out_bias=false
  mlp_bias=false head_dim=128
ernie4_5: vocab_size=103424 intermediate_size=3072 num_attention_heads=16 num_key_value_heads=2
  max_position_embeddings=131072 tie_word_embeddings=true use_bias=false head_dim=128
ernie4_5_moe: vocab_size=103424 intermediate_size=12288 num_attention_heads=20 num_key_value_heads=4
  max_position_embeddings=131072 tie_word_embeddings=true use_bias=false moe_intermediate_size=1536 moe_k=6
  moe_num_experts=64 moe_num_shared_experts=2 moe_layer_start_index=1 moe_layer_end_index=27 moe_layer_interval=1
apertus: vocab_size=131072 intermediate_size=14336 num_attention_heads=32 max_position_embeddings=65536
  tie_word_embeddings=false attention_bias=false
mimo_v2_flash: vocab_size=152576 intermediate_size=16384 num_attention_heads=64 num_key_value_heads=4
  max_position_embeddings=131072 tie_word_embeddings=false attention_bias=false moe_intermediate_size=2048
  num_experts_per_tok=8 n_routed_experts=256 head_dim=192 v_head_dim=128 sliding_window=129
step3p7: vocab_size=128815 intermediate_size=11264 num_attention_heads=64 num_key_value_heads=8 head_dim=128
  max_position_embeddings=128000 tie_word_embeddings=false num_experts_per_tok=8 n_routed_experts=288
  moe_intermediate_size=1280 share_expert_dim=1280 num_sliding_attention_heads=64
laguna: vocab_size=100352 intermediate_size=8192 num_attention_heads=48 num_key_value_heads=8
  max_position_embeddings=131072 tie_word_embeddings=false sliding_window=512 moe_intermediate_size=512
  shared_expert_intermediate_size=512 num_experts_per_tok=8 num_experts=256 head_dim=128 attention_bias=false
  gating=true
muse_glimmer_text: vocab_size=202048 intermediate_size=19968 num_attention_heads=32 num_key_value_heads=2
  head_dim=128 max_position_embeddings=131072 tie_word_embeddings=false attention_bias=false sliding_window=2048
arcee: vocab_size=32000 intermediate_size=18432 num_attention_heads=32 max_position_embeddings=4096
  tie_word_embeddings=false attention_bias=false mlp_bias=false
solar_open: vocab_size=196608 num_attention_heads=64 num_key_value_heads=8 max_position_embeddings=131072
  tie_word_embeddings=false attention_bias=false moe_intermediate_size=1280 num_experts_per_tok=8 n_shared_experts=1
  n_routed_experts=128 head_dim=128
mellum: vocab_size=98304 intermediate_size=7168 num_attention_heads=32 num_key_value_heads=4
  max_position_embeddings=131072 tie_word_embeddings=false attention_bias=false sliding_window=1024
  moe_intermediate_size=896 num_experts_per_tok=8 head_dim=128
starcoder2: vocab_size=49152 intermediate_size=12288 num_attention_heads=24 num_key_value_heads=2
  max_position_embeddings=4096 use_bias=true tie_word_embeddings=true
stablelm: vocab_size=50304 intermediate_size=6912 num_attention_heads=32 num_key_value_heads=32
  max_position_embeddings=4096 tie_word_embeddings=false use_qkv_bias=false qk_layernorm=false
  use_parallel_residual=false
jamba: vocab_size=65536 tie_word_embeddings=false intermediate_size=14336 num_attention_heads=32
  num_key_value_heads=8 max_position_embeddings=262144 num_experts_per_tok=2 num_experts=16 expert_layer_period=2
  expert_layer_offset=1 attn_layer_period=8 attn_layer_offset=4 mamba_d_state=16 mamba_d_conv=4 mamba_expand=2
  mamba_dt_rank=256 mamba_conv_bias=true mamba_proj_bias=false
bamba: vocab_size=128000 tie_word_embeddings=false intermediate_size=14336 num_attention_heads=32
  num_key_value_heads=8 max_position_embeddings=262144 mamba_n_heads=128 mamba_d_head=64 mamba_n_groups=1
  mamba_d_state=256 mamba_d_conv=4 mamba_expand=2 mamba_conv_bias=true mamba_proj_bias=false attention_bias=false
  mlp_bias=false
mllama_text_model: vocab_size=128256 num_attention_heads=32 num_key_value_heads=8 intermediate_size=14336
  max_position_embeddings=131072 tie_word_embeddings=false
bailing_hybrid: vocab_size=157184 intermediate_size=6144 moe_intermediate_size=768 num_attention_heads=32
  num_key_value_heads=32 kv_lora_rank=512 qk_rope_head_dim=64 v_head_dim=128 qk_nope_head_dim=128
  first_k_dense_replace=2 tie_word_embeddings=false attention_bias=false head_dim=64 short_conv_kernel_size=4
  layer_group_size=6
afmoe: vocab_size=200192 intermediate_size=6144 moe_intermediate_size=1408 num_dense_layers=1 num_attention_heads=16
  head_dim=128 max_position_embeddings=16384 tie_word_embeddings=false num_experts=64 num_experts_per_tok=6
  num_shared_experts=2 global_attn_every_n_layers=4 sliding_window=1024 attention_bias=false
ministral: vocab_size=32000 intermediate_size=14336 num_attention_heads=32 num_key_value_heads=8
  max_position_embeddings=131072 tie_word_embeddings=false sliding_window=4096
ministral3: vocab_size=131072 intermediate_size=14336 num_attention_heads=32 num_key_value_heads=8 head_dim=128
  max_position_embeddings=262144 tie_word_embeddings=false
mistral4: vocab_size=131072 intermediate_size=12288 moe_intermediate_size=2048 num_attention_heads=32
  num_key_value_heads=32 n_shared_experts=1 n_routed_experts=128 kv_lora_rank=256 q_lora_rank=1024
  qk_rope_head_dim=64 v_head_dim=128 qk_nope_head_dim=64 num_experts_per_tok=4 first_k_dense_replace=0
  max_position_embeddings=1048576 tie_word_embeddings=false attention_bias=false
llama4_text: vocab_size=202048 intermediate_size=8192 intermediate_size_mlp=16384 num_attention_heads=40
  num_key_value_heads=8 head_dim=128 max_position_embeddings=131072 tie_word_embeddings=false num_experts_per_tok=1
  num_local_experts=16 interleave_moe_layer_step=1 use_qk_norm=true no_rope_layer_interval=4
  attention_chunk_size=8192 attention_bias=false
dots1: vocab_size=152064 intermediate_size=10944 moe_intermediate_size=1408 num_attention_heads=32
  num_key_value_heads=32 first_k_dense_replace=0 max_position_embeddings=2048 tie_word_embeddings=false
  attention_bias=false sliding_window=4096 max_window_layers=62
internlm3: vocab_size=128512 intermediate_size=10240 num_attention_heads=32 num_key_value_heads=2
  max_position_embeddings=32768 tie_word_embeddings=false attention_bias=false mlp_bias=false head_dim=128
bert: vocab_size=30522 num_attention_heads=12 intermediate_size=3072 max_position_embeddings=512 type_vocab_size=2
  add_cross_attention=false tie_word_embeddings=true
xlm-roberta: vocab_size=30522 num_attention_heads=12 intermediate_size=3072 max_position_embeddings=512
  type_vocab_size=2 add_cross_attention=false tie_word_embeddings=true
roberta: vocab_size=50265 num_attention_heads=12 intermediate_size=3072 max_position_embeddings=512
  type_vocab_size=2 add_cross_attention=false tie_word_embeddings=true
modernbert: vocab_size=50368 intermediate_size=1152 num_attention_heads=12 max_position_embeddings=8192
  norm_bias=false attention_bias=false local_attention=128 mlp_bias=false decoder_bias=true classifier_bias=false
  tie_word_embeddings=true
nomic_bert: vocab_size=30528 num_attention_heads=12 intermediate_size=3072 max_position_embeddings=2048
  type_vocab_size=2
flex_olmo: vocab_size=100352 intermediate_size=11008 num_attention_heads=32 max_position_embeddings=4096
  tie_word_embeddings=false attention_bias=false num_experts_per_tok=5 num_experts=7
"""

_WORDS = {"true": True, "false": False}


@cache
def _blocks(text: str) -> Mapping[str, str]:
    """The text of each class; its continuation lines are indented."""
    lines = text.replace("\n  ", " ").strip().splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line)


@cache
def defaults_of(text: str, name: str) -> Mapping[str, int | bool]:
    """One line of such a table as values; empty for a name that is not in it."""
    pairs = (item.split("=", 1) for item in _blocks(text).get(name, "").split())
    return {key: _WORDS[value] if value in _WORDS else int(value) for key, value in pairs}


def class_defaults(name: str) -> Mapping[str, int | bool]:
    """The defaults of one class; empty for a name that is not in the table."""
    return defaults_of(_TEXT, name) or defaults_of(TEXT, name)
