"""A ggml graph without numbers: operations, their shapes and what they read; enough to place and to measure its tensors.

Source: llama.cpp b11669, ggml/src/ggml.c (result shapes, views, `ggml_visit_parents`).
"""

from collections.abc import Callable, Iterator, Sequence

from llmops.domain.tensor_types import TENSOR_TYPES

VIEWS = frozenset({"none", "view", "reshape", "permute", "transpose"})
"""`ggml_is_view_op`: nothing is computed."""

IN_PLACE = frozenset(
    ("add", "add_id", "sub", "mul", "div", "scale", "sqr", "sqrt", "unary", "rope", "rms_norm", "softmax", "clamp")
) | {"fill"}
"""`ggml_op_can_inplace`, as far as the graphs here use it: the result may take a parent's place."""

Dims = tuple[int, int, int, int]


class Node:
    """One tensor of the graph. `home` is the device of what lies outside (weights, caches), None for what is allocated here.

    `strides` is None where the tensor is contiguous, else any value that tells two layouts apart. `adapters` are a weight's
    pairs of LoRA matrices, which products with it take along. The last fields belong to the scheduler (`backend`) and the
    allocator, which gives `owner`, `address` and `taken` to what it places: a graph has thousands of nodes.
    """

    owner: int
    address: int
    taken: int

    __slots__ = (
        "adapters",
        "address",
        "allocated",
        "backend",
        "children",
        "dims",
        "home",
        "is_input",
        "is_output",
        "is_weight",
        "kind",
        "name",
        "op",
        "origin",
        "owner",
        "shifted",
        "size",
        "sources",
        "strides",
        "taken",
        "views",
        "visited",
    )

    def __init__(
        self,
        op: str,
        kind: str,
        dims: Dims,
        sources: Sequence["Node"] = (),
        *,
        size: int | None = None,
        origin: "Node | None" = None,
        shifted: bool = False,
        strides: object = None,
        home: int | None = None,
        is_weight: bool = False,
        name: str = "",
    ) -> None:
        self.op = op
        self.kind = kind
        self.dims = dims
        self.sources = list(sources)
        if size is None:
            size = 4 * dims[0] * dims[1] * dims[2] * dims[3] if kind == "F32" else nbytes(kind, dims)  # most are F32
        self.size = size
        self.origin = origin
        self.shifted = shifted
        self.strides = strides
        self.home = home
        self.is_weight = is_weight
        self.is_input = False
        self.is_output = False
        self.name = name
        self.adapters: tuple[tuple[Node, Node], ...] = ()
        self.backend = -1
        self.visited = False
        self.allocated = False
        self.children = 0
        self.views = 0


def nbytes(kind: str, dims: Dims) -> int:
    """`ggml_nbytes` of a contiguous tensor."""
    return TENSOR_TYPES[kind].row_bytes(dims[0]) * dims[1] * dims[2] * dims[3]


def dims_of(first: int, second: int = 1, third: int = 1, fourth: int = 1) -> Dims:
    """Four dimensions from fewer."""
    return (first, second, third, fourth)


class Graph:
    """Nodes and leafs in the order ggml visits them: a tensor's sources first, from the left."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.leafs: list[Node] = []

    def expand(self, node: Node) -> None:
        """`ggml_build_forward_expand`."""
        if node.visited:
            return
        node.visited = True
        leafs, nodes = self.leafs, self.nodes
        above: list[tuple[Node, Iterator[Node]]] = []
        one, sources = node, iter(node.sources)
        while True:
            for below in sources:
                if below.visited:
                    continue
                below.visited = True
                if below.sources:
                    above.append((one, sources))
                    one, sources = below, iter(below.sources)
                    break
                (leafs if below.op == "none" else nodes).append(below)
            else:
                (leafs if one.op == "none" else nodes).append(one)
                if not above:
                    return
                one, sources = above.pop()


# ---- leafs -----------------------------------------------------------------------------------------------------------


def given(kind: str, *dims: int, name: str = "") -> Node:
    """An input of the graph: filled by the host before each run."""
    node = Node("none", kind, dims_of(*dims), name=name)
    node.is_input = True
    return node


def stored(kind: str, *dims: int, home: int, is_weight: bool = True, name: str = "") -> Node:
    """A weight, or with `is_weight` false a cache, in its own buffer."""
    return Node("none", kind, dims_of(*dims), home=home, is_weight=is_weight, name=name)


# ---- views -----------------------------------------------------------------------------------------------------------


def view(of: Node, *dims: int, shifted: bool = False, strides: object = None, size: int | None = None) -> Node:
    """Part of a tensor (`shifted`: not from its start); contiguous unless `strides` says how it is not."""
    root = of if of.origin is None else of.origin
    if 0 in dims:
        size = 0
    if size is None and of.strides is not None and of.strides != "cache":
        wanted, have = dims_of(*dims), of.dims
        if wanted[0] * wanted[1] * wanted[2] * wanted[3] == have[0] * have[1] * have[2] * have[3]:
            size, strides = of.size, strides or of.strides
    return Node(
        "view", of.kind, dims_of(*dims), (of,), origin=root, shifted=shifted or of.shifted, strides=strides, size=size
    )


def reshape(of: Node, *dims: int) -> Node:
    """The same bytes in other dimensions."""
    root = of if of.origin is None else of.origin
    return Node("reshape", of.kind, dims_of(*dims), (of,), origin=root, shifted=of.shifted, size=of.size)


def flat(of: Node) -> Node:
    """The same bytes in two dimensions: the others are 1."""
    return reshape(of, of.dims[0], of.dims[1])


def permute(of: Node, *order: int) -> Node:
    """`ggml_permute`: dimension i goes to position `order[i]`."""
    dims = [1, 1, 1, 1]
    for at, to in enumerate(order):
        dims[to] = of.dims[at]
    root = of if of.origin is None else of.origin
    changed: object = None if tuple(order) == (0, 1, 2, 3) else (of.strides, of.dims, tuple(order))
    return Node(
        "permute", of.kind, dims_of(*dims), (of,), origin=root, shifted=of.shifted, strides=changed, size=of.size
    )


def transpose(of: Node) -> Node:
    """Rows for columns."""
    node = permute(of, 1, 0, 2, 3)
    node.op = "transpose"
    return node


# ---- operations ------------------------------------------------------------------------------------------------------


def same(op: str, first: Node, *more: Node) -> Node:
    """A result like the first source: sums, products, norms, rotations."""
    return Node(op, first.kind, first.dims, (first, *more), strides=None)


def product(weights: Node, values: Node) -> Node:
    """`ggml_mul_mat`: F32, a row of the weights' rows for each row of the values."""
    dims = (weights.dims[1], values.dims[1], values.dims[2], values.dims[3])
    node = Node("mul_mat", "F32", dims, (weights, values))
    for first, second in weights.adapters:  # `build_lora_mm`
        node = same("add", node, same("scale", product(second, product(first, values))))
    return node


def expert_product(weights: Node, values: Node, chosen: Node) -> Node:
    """`ggml_mul_mat_id`: one matrix of each chosen expert."""
    dims = (weights.dims[1], chosen.dims[0], values.dims[2], 1)
    node = Node("mul_mat_id", "F32", dims, (weights, values, chosen))
    for first, second in weights.adapters:  # `build_lora_mm_id`
        beside = expert_product(second, expert_product(first, values, chosen), chosen)
        node = same("add", node, same("scale", beside))
    return node


def rows(of: Node, chosen: Node) -> Node:
    """`ggml_get_rows`: F32 (I32 of I32)."""
    kind = "I32" if of.kind == "I32" else "F32"
    return Node("get_rows", kind, (of.dims[0], chosen.dims[0], chosen.dims[1], chosen.dims[2]), (of, chosen))


def with_adapted_rows(found: Node, of: Node, chosen: Node) -> Node:
    """Rows of an embedding, and what its LoRA matrices add to them."""
    for first, second in of.adapters:
        found = same("add", found, same("scale", product(second, rows(first, chosen))))
    return found


def write_rows(into: Node, values: Node, chosen: Node) -> Node:
    """`ggml_set_rows`: a view of what it writes into."""
    root = into if into.origin is None else into.origin
    return Node(
        "set_rows", into.kind, into.dims, (values, chosen, into), origin=root, size=into.size, shifted=into.shifted
    )


def copied(values: Node, into: Node) -> Node:
    """`ggml_cpy`: a view of what it writes into."""
    root = into if into.origin is None else into.origin
    return Node("cpy", into.kind, into.dims, (values, into), origin=root, size=into.size, shifted=into.shifted)


def continuous(of: Node, *dims: int) -> Node:
    """`ggml_cont`, with other dimensions where given."""
    return Node("cont", of.kind, dims_of(*dims) if dims else of.dims, (of,))


def gated(gate: Node, up: Node | None = None) -> Node:
    """`ggml_swiglu_split` and its like; from one tensor the half of its rows."""
    if up is None:
        return Node("glu", "F32", (gate.dims[0] // 2, *gate.dims[1:]), (gate,))
    return Node("glu", "F32", gate.dims, (gate, up))


def bent(gate: Node, up: Node) -> Node:
    """Gate and up, both bent by a tanh of some width before they are multiplied (Kimi K3's SiTU)."""
    opened = same("mul", _tanh(gate), same("unary", gate))
    return same("mul", opened, _tanh(up))


def _tanh(values: Node) -> Node:
    return same("scale", same("unary", same("scale", values)))


def joined(first: Node, second: Node, along: int) -> Node:
    """`ggml_concat`."""
    dims = list(first.dims)
    dims[along] += second.dims[along]
    return Node("concat", first.kind, dims_of(*dims), (first, second))


def flash_attention(query: Node, keys: Node, values: Node, mask: Node, sinks: Node | None = None) -> Node:
    """`ggml_flash_attn_ext`: heads and rows change places."""
    dims = (values.dims[0], query.dims[2], query.dims[1], query.dims[3])
    sources = [query, keys, values, mask] + ([sinks] if sinks is not None else [])
    return Node("flash", "F32", dims, sources)


def flash_attention_unmasked(query: Node, keys: Node, values: Node, mask: Node | None) -> Node:
    """The same of an encoder, whose rows may all see each other: then without a mask."""
    dims = (values.dims[0], query.dims[2], query.dims[1], query.dims[3])
    return Node("flash", "F32", dims, [query, keys, values] + ([mask] if mask is not None else []))


SizeOf = Callable[[Node], int]
