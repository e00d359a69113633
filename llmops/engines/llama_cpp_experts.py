"""Experts in the graph: the router, the choice, the chosen matrices, the weighted sum.

Source: llama.cpp b11669, src/llama-graph.cpp `build_moe_ffn`; checked node by node against graphs of the running server.
"""

from collections.abc import Callable

from llmops.domain.records import dataclass
from llmops.engines.llama_cpp_graph import (
    Node,
    bent,
    continuous,
    expert_product,
    gated,
    reshape,
    rows,
    same,
    view,
    write_rows,
)
from llmops.engines.llama_cpp_leafs import Leafs


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """How a family weighs its experts. `first`: the weights go onto the values before the experts (llama4), not after.

    `names` is how the experts' matrices end: `chexps` are shared by groups of the experts that the router knows.
    `apart`: they are chosen by other chances (sigmoid) than those that weigh them.
    """

    gating: str = "softmax"
    normed: bool = True
    scaled: bool = False
    first: bool = False
    act: str = "silu"
    names: str = "exps"
    apart: bool = False


def expert_layer(net: Leafs, at: int, values: Node, how: Routing, logits: Node | None) -> Node:
    """The sum of the chosen experts."""
    matrix = net.layer(at, f"ffn_down_{how.names}")
    used, tokens = min(net.shape.layers[at].experts_used, matrix.dims[2]), values.dims[1]
    if logits is None:
        logits = net.linear(at, "ffn_gate_inp", values)
    chosen, weights = _chosen(net, at, logits, how, used, grouped=logits.dims[0] != matrix.dims[2])
    net.graph.expand(weights)
    node = reshape(values, values.dims[0], 1, tokens)
    if how.first:
        node = same("mul", Node("repeat", "F32", (values.dims[0], used, tokens, 1), (node,)), weights)
    node = _linear(net, at, f"ffn_down_{how.names}", _activated(net, at, node, chosen, how), chosen)
    if f"blk.{at}.ffn_down_exps.scale" in net.tensors:
        factors = reshape(net.weight(f"blk.{at}.ffn_down_exps.scale"), 1, logits.dims[0])
        each = Node("repeat", "F32", (1, logits.dims[0], tokens, 1), (factors,))
        node = same("mul", node, rows(each, chosen))
    if not how.first:
        node = same("mul", node, weights)
    net.graph.expand(node)
    return _summed(net, node, used, tokens)


def _chosen(net: Leafs, at: int, logits: Node, how: Routing, used: int, *, grouped: bool = False) -> tuple[Node, Node]:
    """Numbers of the chosen experts, or of their groups, and what each counts; a layer may have a table of tokens for it."""
    tokens = logits.dims[1]
    table = f"blk.{at}.ffn_gate_tid2eid.weight"
    bias = next((name for name in ("exp_probs_b.bias", "exp_probs_b") if f"blk.{at}.{name}" in net.tensors), "")

    def judge(judged: Node) -> Node:
        judged = same("unary", logits) if how.apart else judged
        return _best_groups(net, logits if how.first else judged)

    return choose(
        logits,
        used,
        bias=net.layer(at, bias) if bias else None,
        gating=how.gating,
        normed=how.normed,
        scaled=how.scaled,
        judge=judge,
        grouped=grouped,
        chosen=rows(net.weight(table), net.input("tokens", "I32", tokens)) if table in net.tensors else None,
    )


def choose(
    logits: Node,
    used: int,
    *,
    bias: Node | None,
    gating: str,
    normed: bool,
    scaled: bool,
    judge: Callable[[Node], Node] | None = None,
    grouped: bool = False,
    chosen: Node | None = None,
) -> tuple[Node, Node]:
    """The best of what a router says, and their weights. `judge`: what else the choice goes by; `chosen`: not by it at all."""
    tokens = logits.dims[1]
    operation = {"softmax": "softmax", "sigmoid": "unary", "root": "unary"}.get(gating)
    chances = logits if operation is None else same(operation, logits)
    chances = same("sqrt", chances) if gating == "root" else chances
    if chosen is None:
        judged = chances if bias is None else same("add", chances, bias)
        judged = judged if judge is None else judge(judged)
        order = Node("argsort", "I32", judged.dims, (judged,))
        chosen = view(order, used, tokens, strides="top", size=4 * ((tokens - 1) * logits.dims[0] + used))
    if grouped:
        chosen = Node("cpy", "I32", chosen.dims, (same("scale", Node("cpy", "F32", chosen.dims, (chosen,))),))
    weights = rows(reshape(chances, 1, logits.dims[0], tokens), chosen)
    if operation is None:
        weights = reshape(same("softmax", reshape(weights, used, tokens)), 1, used, tokens)
    if normed:
        flat = reshape(weights, used, tokens)
        total = same("clamp", Node("sum_rows", "F32", (1, tokens, 1, 1), (flat,)))
        weights = reshape(same("div", flat, total), 1, used, tokens)
    return chosen, same("scale", weights) if scaled else weights


def _best_groups(net: Leafs, judged: Node) -> Node:
    """Only the experts of the best groups are left to choose from; a group counts by its two best."""
    groups, used = net.shape.graph.expert_groups, net.shape.graph.expert_groups_used
    if groups <= 1:
        return judged
    count, tokens = judged.dims[0], judged.dims[1]
    each = count // groups
    grouped = reshape(judged, each, groups, tokens)
    best = Node("argsort", "I32", grouped.dims, (grouped,))
    best = view(best, 2, groups, tokens, strides="top", size=best.size - 4 * (each - 2))
    scores = rows(reshape(judged, 1, each, groups, tokens), best)
    scores = Node("sum_rows", "F32", (1, groups, tokens, 1), (reshape(scores, 2, groups, tokens),))
    scores = reshape(scores, groups, tokens)
    order = Node("argsort", "I32", scores.dims, (scores,))
    chosen = view(order, used, tokens, strides="top", size=order.size - 4 * (groups - used))
    kept = rows(grouped, chosen)
    empty = Node("fill", "F32", grouped.dims, (grouped,))
    return reshape(write_rows(empty, kept, chosen), count, tokens)


def _activated(net: Leafs, at: int, node: Node, chosen: Node, how: Routing) -> Node:
    """Gate and up, in one matrix or two, or up alone with an activation."""
    if net.has_in(at, f"ffn_gate_up_{how.names}"):
        both = _linear(net, at, f"ffn_gate_up_{how.names}", node, chosen)
        wide = both.dims[0] // 2
        size, dims = both.size - 4 * wide, (wide, *both.dims[1:])
        halves = [view(both, *dims, shifted=second, strides=("half", wide), size=size) for second in (False, True)]
        return Node("glu", "F32", dims, halves)
    up = _linear(net, at, f"ffn_up_{how.names}", node, chosen)
    if net.has_in(at, f"ffn_gate_{how.names}"):
        gate = _linear(net, at, f"ffn_gate_{how.names}", node, chosen)
        return bent(gate, up) if how.act == "situ" else gated(gate, up)
    node = same("unary", up)
    return same("sqr", node) if how.act == "relu²" else node


def _linear(net: Leafs, at: int, name: str, values: Node, chosen: Node) -> Node:
    """A product with each chosen expert's matrix, and their biases."""
    node = expert_product(net.layer(at, name), values, chosen)
    bias = f"blk.{at}.{name}.bias"
    return same("add_id", node, net.weight(bias), chosen) if bias in net.tensors else node


def _summed(net: Leafs, node: Node, used: int, tokens: int) -> Node:
    """One view an expert, then their sum."""
    size = 4 * node.dims[0] * ((tokens - 1) * used + 1)
    parts = [
        view(node, node.dims[0], tokens, shifted=number > 0, strides="expert", size=size) for number in range(used)
    ]
    for one in parts:
        net.graph.expand(one)
    total = parts[0]
    for one in parts[1:]:
        total = same("add", total, one)
        net.graph.expand(total)
    return total if used > 1 else continuous(total)
