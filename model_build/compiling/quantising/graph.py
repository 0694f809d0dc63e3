"""Where a net's ends lie: the nodes that lose most when they are quantised."""

from typing import Any

_POOLING = ("Reduce", "Global", "AveragePool")


def heads(graph: Any) -> frozenset[str]:
    """Names of the nodes behind the last convolutions, and of these: what turns features into probabilities. `graph`: onnx.GraphProto."""
    makers = {name: node for node in graph.node for name in node.output}
    found: set[str] = set()
    pending = [makers[output.name] for output in graph.output if output.name in makers]
    while pending:
        node = pending.pop()
        if node.name in found:
            continue
        found.add(node.name)
        if node.op_type != "Conv":
            pending += [makers[name] for name in node.input if name in makers]
    return frozenset(found)


def edges(graph: Any) -> frozenset[str]:
    """The heads, and the first convolution."""
    return heads(graph) | _first(graph)


def ends(graph: Any) -> frozenset[str]:
    """Pooled features, and the first convolution, whose few input channels have the widest spread of weights."""
    return pools(graph) | _first(graph)


def pools(graph: Any) -> frozenset[str]:
    """Of the heads: what pools a map, and all that lies behind. A handful of numbers, whose ranges differ widely."""
    head, behind, found = heads(graph), set[str](), set[str]()
    for node in graph.node:
        pooling = node.op_type.startswith(_POOLING)
        if node.name in head and (pooling or not behind.isdisjoint(node.input)):
            found.add(node.name)
            behind.update(node.output)
    return frozenset(found)


def _first(graph: Any) -> frozenset[str]:
    return frozenset([node.name for node in graph.node if node.op_type == "Conv"][:1])
