"""Fast inference on the CPU: other graphs of a trained network, by oneDNN.

They are for inference only: batch normalisation is by its running statistics.
"""
import contextlib
import json
import os
import sys
import warnings

from ._mxnet import mx

CALIBRATION_IMAGES = 256
BATCH_SIZE = 64  # of calibration


def fused(net):
    """A graph of the network for inference: neighbouring layers in one, each where it costs least.

    Parameters
    ----------
    net : HybridBlock
        Initialised, float32, on the CPU. It is left as it is, and its parameters are shared.

    Returns
    -------
    SymbolBlock
        Gives the same logits, up to rounding. It can be exported once it has been called.
    """
    graph = _Graph(net(_data()))
    for rewrite in (graph.normalise_before_interpolation, graph.weigh_and_add, graph.join_normalisation_and_relu):
        graph.apply(rewrite)
    block = _block(graph.symbol(), net)
    block.hybridize(backend="MKLDNN", static_alloc=True, static_shape=True)
    return block


def quantized(net, images):
    """The network in INT8: convolutions, normalisations, ReLUs, poolings and the dense layer on whole numbers.

    What stays in float32 is the mask's sigmoid, its interpolations and its product with the trunk: in INT8 the
    product takes the normalisation after it to oneDNN's slowest kernel, and costs accuracy.

    Parameters
    ----------
    net : HybridBlock
        Initialised, float32, on the CPU. It is left as it is.
    images : float32 array (N, 3, H, W)
        Training images as the network is given them when it is tested. Each layer's range is what they make of it.

    Returns
    -------
    SymbolBlock
        Its parameters are its own. It can be exported once it has been called.
    """
    with warnings.catch_warnings(), _without_notes():
        warnings.simplefilter("ignore")  # it loads a symbol without the type of its data, and wonders
        block = mx.contrib.quantization.quantize_net_v2(
            _block(net(_data()), net), quantized_dtype="int8", calib_mode="naive",
            calib_data=mx.io.NDArrayIter(images, batch_size=min(BATCH_SIZE, len(images))),
            num_calib_examples=len(images), exclude_operators=["elemwise_mul"])
    block.hybridize(static_alloc=True, static_shape=True)
    return block


def _data():
    return mx.sym.var("data", dtype="float32")


def _block(symbol, net):
    return mx.gluon.SymbolBlock(symbol, _data(), params=net.collect_params())


@contextlib.contextmanager
def _without_notes():
    """Keep off stderr what MXNet's library writes there while it quantises: its errors come as exceptions."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


class _Node:
    """An operator of a graph: its description in MXNet's JSON, and its inputs as pairs of node and output number."""

    def __init__(self, row, nodes):
        self.row, self.op = row, row["op"]
        self.inputs = [[nodes[entry[0]], entry[1]] for entry in row["inputs"]]

    @property
    def source(self):
        """The node of its first input."""
        return self.inputs[0][0]

    def is_activation(self, kind):
        return self.op == "Activation" and self.row["attrs"]["act_type"] == kind


class _Graph:
    """A symbol, taken apart to be rewritten."""

    def __init__(self, symbol):
        graph, self._nodes = json.loads(symbol.tojson()), []
        for row in graph["nodes"]:
            self._nodes.append(_Node(row, self._nodes))
        self._heads = [[self._nodes[entry[0]], entry[1]] for entry in graph["heads"]]
        self._attrs = graph["attrs"]

    def apply(self, rewrite):
        """Call a method of this graph for each node."""
        for node in list(self._nodes):
            rewrite(node)

    def _uses(self, node):
        return [entry for user in self._nodes for entry in user.inputs if entry[0] is node]

    def join_normalisation_and_relu(self, node):
        """Batch normalisation and the ReLU after it in one pass, where no convolution before takes them in."""
        if not node.is_activation("relu"):
            return
        norm = node.source
        if norm.op == "BatchNorm" and norm.source.op != "Convolution" and len(self._uses(norm)) == 1:
            node.inputs, node.op = norm.inputs, "_contrib_BatchNormWithReLU"
            node.row = dict(norm.row, op=node.op)

    def normalise_before_interpolation(self, node):
        """Batch normalisation before an interpolation: the same, since its weights sum to 1, and of a smaller map."""
        steps = []
        entry = node.inputs[0] if node.op == "BatchNorm" else None
        while entry and entry[0].op in ("dot", "transpose") and len(self._uses(entry[0])) == 1:
            steps.append(entry[0])
            entry = entry[0].inputs[0]
        if [step.op for step in steps] != ["dot", "transpose"] * 2:
            return
        for use in self._uses(node):
            use[0] = steps[0]
        node.inputs[0], steps[-1].inputs[0] = entry, [node, 0]

    def weigh_and_add(self, node):
        """(1 + M) T as M T + T: the sum is oneDNN's, and comes in the layout of the convolutions after it."""
        one, trunk = node.inputs if node.op == "elemwise_mul" else (None, None)
        if one is None or one[0].op != "_plus_scalar" or float(one[0].row["attrs"]["scalar"]) != 1:
            return
        product = _Node(dict(node.row, inputs=[], name=node.row["name"] + "_product"), [])
        product.inputs = [one[0].inputs[0], trunk]
        self._nodes.append(product)
        node.op, node.row, node.inputs = "elemwise_add", dict(node.row, op="elemwise_add"), [[product, 0], list(trunk)]

    def _in_order(self):
        """The nodes that the outputs depend on, each after its inputs; without recursion, since a net may be deep."""
        order, waiting = {}, [entry[0] for entry in self._heads]
        while waiting:
            before = [entry[0] for entry in waiting[-1].inputs if entry[0] not in order]
            if not before:
                order.setdefault(waiting.pop(), len(order))
            waiting += before[::-1]
        return order

    def symbol(self):
        """Put together again."""
        places = self._in_order()
        rows = [dict(node.row, inputs=[[places[source], output, 0] for source, output in node.inputs])
                for node in places]
        heads = [[places[node], output, 0] for node, output in self._heads]
        return mx.sym.load_json(json.dumps({"nodes": rows, "heads": heads, "attrs": self._attrs, "node_row_ptr": [],
                                            "arg_nodes": [i for i, row in enumerate(rows) if row["op"] == "null"]}))
