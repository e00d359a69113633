// Preloaded into a llama.cpp program: writes one line per buffer it allocates to the file that MEASURE_PHASES names,
//
//     PHASE PART BUFFER BYTES       such as: model weights CUDA0 197888
//
// PHASE is what is being made (model, draft, lora, projector), PART one of weights, outputs, kept (caches and states), compute,
// cvec. MEASURE_GRAPHS=1 adds the graphs that are reserved, one line a node. Written by scripts/measure-beside, which builds it.
#include <ggml-backend.h>
#include <ggml.h>
#include <llama.h>
#include <mtmd.h>

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

namespace {

constexpr size_t WEIGHTS_CHUNK = size_t(1) << 20;

template <class F> F real(const char *name) { return reinterpret_cast<F>(dlsym(RTLD_NEXT, name)); }

FILE *out() {
    static FILE *file = getenv("MEASURE_PHASES") ? fopen(getenv("MEASURE_PHASES"), "w") : nullptr;
    return file;
}

std::map<const llama_context *, std::string> owners;
std::string phase = "model", part = "-", latest = "model";
int models = 0, depth = 0;

struct Within {                                          // PHASE and PART while a function of the program runs
    std::string before_phase = phase, before_part = part;
    Within(const std::string &new_phase, const std::string &new_part) { phase = new_phase; part = new_part; }
    ~Within() { phase = before_phase; part = before_part; }
};

void dump(ggml_cgraph *graph) {
    std::map<const ggml_tensor *, int> ids;
    const int count = ggml_graph_n_nodes(graph);
    for (int i = 0; i < count; i++) ids[ggml_graph_node(graph, i)] = i;
    fprintf(out(), "graph %s %d\n", phase.c_str(), count);
    for (int i = 0; i < count; i++) {
        const ggml_tensor *t = ggml_graph_node(graph, i);
        fprintf(out(), "%d %s %s [%ld %ld %ld %ld] %s <-", i, t->op == GGML_OP_UNARY ? ggml_unary_op_name(ggml_get_unary_op(t)) : ggml_op_name(t->op),
                ggml_type_name(t->type), long(t->ne[0]), long(t->ne[1]), long(t->ne[2]), long(t->ne[3]), t->name);
        for (const ggml_tensor *s : t->src) {
            if (!s) continue;
            if (ids.count(s)) fprintf(out(), " %d", ids[s]);
            else fprintf(out(), " {%s %s [%ld %ld %ld %ld]%s}", s->name, ggml_type_name(s->type), long(s->ne[0]), long(s->ne[1]),
                         long(s->ne[2]), long(s->ne[3]), s->flags & GGML_TENSOR_FLAG_INPUT ? " input" : "");
        }
        fprintf(out(), "\n");
    }
}

} // namespace

extern "C" {

// Weights are a hole of the file: they are stepped over, so that a model of any size is asked in a moment.
size_t fread(void *to, size_t size, size_t count, FILE *file) {
    static auto next = real<decltype(&fread)>("fread");
    const bool is_weights = size * count >= WEIGHTS_CHUNK && fseeko(file, off_t(size * count), SEEK_CUR) == 0;
    return is_weights ? count : next(to, size, count, file);
}

ssize_t read(int file, void *to, size_t count) {
    static auto next = real<decltype(&read)>("read");
    const bool is_weights = count >= WEIGHTS_CHUNK && lseek(file, off_t(count), SEEK_CUR) >= 0;
    return is_weights ? ssize_t(count) : next(file, to, count);
}

ggml_backend_buffer_t ggml_backend_buft_alloc_buffer(ggml_backend_buffer_type_t kind, size_t size) {
    static auto next = real<decltype(&ggml_backend_buft_alloc_buffer)>("ggml_backend_buft_alloc_buffer");
    if (out() && size && !depth) {
        fprintf(out(), "%s %s %s %zu\n", phase.c_str(), part.c_str(), ggml_backend_buft_name(kind), size);
        fflush(out());
    }
    if (part == "outputs") part = "kept";                // a context's first buffer is for its results
    depth++;                                             // pinned host memory asks for ordinary memory inside
    ggml_backend_buffer_t made = next(kind, size);
    depth--;
    return made;
}

bool ggml_backend_sched_reserve(ggml_backend_sched_t sched, ggml_cgraph *graph) {
    static auto next = real<decltype(&ggml_backend_sched_reserve)>("ggml_backend_sched_reserve");
    Within within(part == "-" ? latest : phase, "compute");
    if (out() && getenv("MEASURE_GRAPHS")) dump(graph);
    return next(sched, graph);
}

bool ggml_backend_sched_alloc_graph(ggml_backend_sched_t sched, ggml_cgraph *graph) {
    static auto next = real<decltype(&ggml_backend_sched_alloc_graph)>("ggml_backend_sched_alloc_graph");
    Within within(phase, "compute");
    return next(sched, graph);
}

llama_model *llama_model_load_from_file(const char *path, llama_model_params params) {
    static auto next = real<decltype(&llama_model_load_from_file)>("llama_model_load_from_file");
    Within within(models++ ? "draft" : "model", "weights");
    return next(path, params);
}

llama_context *llama_init_from_model(llama_model *model, llama_context_params params) {
    static auto next = real<decltype(&llama_init_from_model)>("llama_init_from_model");
    static int contexts = 0;
    const std::string mine = contexts++ ? "draft" : "model";
    Within within(mine, "outputs");
    llama_context *made = next(model, params);
    owners[made] = mine;
    return made;
}

bool llama_set_sampler(llama_context *context, llama_seq_id sequence, llama_sampler *sampler) {
    static auto next = real<decltype(&llama_set_sampler)>("llama_set_sampler");
    latest = owners[context];                            // its graphs are reserved again, with the sampler
    Within within(latest, "run");
    return next(context, sequence, sampler);
}

int32_t llama_decode(llama_context *context, llama_batch batch) {
    static auto next = real<decltype(&llama_decode)>("llama_decode");
    Within within(owners[context], "run");
    return next(context, batch);
}

int32_t llama_encode(llama_context *context, llama_batch batch) {
    static auto next = real<decltype(&llama_encode)>("llama_encode");
    Within within(owners[context], "run");
    return next(context, batch);
}

llama_adapter_lora *llama_adapter_lora_init(llama_model *model, const char *path) {
    static auto next = real<decltype(&llama_adapter_lora_init)>("llama_adapter_lora_init");
    Within within("lora", "weights");
    return next(model, path);
}

int32_t llama_set_adapter_cvec(llama_context *context, const float *data, size_t length, int32_t width, int32_t first, int32_t last) {
    static auto next = real<decltype(&llama_set_adapter_cvec)>("llama_set_adapter_cvec");
    Within within("model", "cvec");
    return next(context, data, length, width, first, last);
}

mtmd_context *mtmd_init_from_file(const char *path, const llama_model *model, const mtmd_context_params params) {
    static auto next = real<decltype(&mtmd_init_from_file)>("mtmd_init_from_file");
    Within within("projector", "weights");
    return next(path, model, params);
}

// What a file holds is of no consequence here: it is mapped without being read from one end to the other.
void *mmap(void *at, size_t length, int protection, int flags, int file, off_t offset) noexcept {
    return reinterpret_cast<void *>(syscall(SYS_mmap, at, length, protection, flags & ~MAP_POPULATE, file, offset));
}

int posix_madvise(void *, size_t, int) noexcept { return 0; }

} // extern "C"
