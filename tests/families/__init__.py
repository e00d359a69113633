"""The keys and tensors of random models, one module a kind; `llama_cpp_families` names them all."""
