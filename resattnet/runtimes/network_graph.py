"""Compose the MXNet symbol of a network, with the names of its layers in place of Gluon's."""

from __future__ import annotations

import json
from typing import Any, Dict, Tuple

from ..machine.mxnet import mx


def compose_graph(net: Any, data: str) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """Return the symbol of a network, as the dict of its JSON, and its arrays by name.

    Nodes and arrays are named after the layers, as in parameter files. Two networks of the same layers have the same
    names; Gluon's own names count the networks of a process.

    Parameters
    ----------
    net : HybridBlock
        Initialised.
    data : str
        Name of the input. The output is called `logits`.
    """
    layers = net._collect_params_with_prefix()
    names = {parameter.name: name for name, parameter in layers.items()}
    graph = json.loads(net(mx.sym.var(data)).tojson())
    nodes = graph["nodes"]
    for index, node in enumerate(nodes):
        if node["op"] == "null":
            node["name"] = names.get(node["name"], node["name"])
        else:
            inputs = [nodes[source[0]]["name"] for source in node["inputs"]]
            layer = [name.rpartition(".")[0] for name in inputs if name in layers]
            node["name"] = layer[0] if layer else f"{node['op'].lstrip('_')}_{index}"
    nodes[graph["heads"][0][0]]["name"] = "logits"
    return graph, {name: parameter.list_data()[0].as_in_context(mx.cpu()) for name, parameter in layers.items()}


def load_graph(graph: Dict[str, Any]) -> Any:
    """Return the symbol of the dict of its JSON."""
    return mx.sym.load_json(json.dumps(graph))
