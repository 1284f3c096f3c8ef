"""Answer requests over HTTP with the classes of images, and show a page to drop a photograph on.

    {command} --params models/RUN/best.params
    {command} --params models/RUN/best.onnx --port 0
    curl -F image=@photo.jpg 'http://127.0.0.1:8000/predict?top=3'

POST /predict takes one or several images, as the files of a multipart body or one image as the body, and answers with
JSON. GET / is the page: it shows the classes and, for a parameter file, the masks of each attention module drawn over
the photograph. GET /health tells the state. Images that wait are computed together.

An ONNX or .safetensors file, which {command export} writes, is computed without MXNet. The server listens on this
machine only, unless --host says otherwise; it has neither TLS nor passwords. SIGTERM, SIGINT and SIGHUP end it once the
requests under way are answered. Exit codes: 0 ended by a signal, all requests answered; 2 wrong arguments or input;
129, 130, 143 ended by a signal, some requests cut off.
"""

from __future__ import annotations

from typing import Any, Dict

from ..options import command_line
from ..options.common_arguments import add_params, add_quiet
from ..serving.options import ServeOptions


def add_arguments(parser: command_line.ArgumentParser) -> None:
    """Add the network's file and the options."""
    add_params(parser, exported=".onnx or .safetensors")
    command_line.add_options(parser, ServeOptions)
    add_quiet(parser)


def main(given: Dict[str, Any]) -> int:
    """Serve until a signal comes."""
    given = dict(given)
    path = given.pop("params")
    options = ServeOptions(**given)

    from ..serving.server import serve

    return serve(path, options)
