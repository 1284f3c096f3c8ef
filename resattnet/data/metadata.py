"""The metadata of exported files: values of JSON types, which the files hold as texts."""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping

from ..system.input_files import parse_json

ONNX_BEGINS = b"\x08"  # the field `ir_version`, with which every ONNX file begins
# Those that are texts; all others are JSON texts. A data set may be called 42 or true.
_TEXTS = {"channels", "data_format", "dataset", "dataset_title", "fingerprint", "input", "layout", "params_sha256"}
_TEXTS |= {"precision", "preprocessing", "range", "resattnet_version"}
_INFINITE = ("description", "validation_loss")  # the loss of a run that diverges may be infinite


def to_texts(values: Mapping[str, Any]) -> Dict[str, str]:
    """Return the texts that a file holds."""
    return {name: value if name in _TEXTS else json.dumps(value) for name, value in values.items()}


def from_texts(texts: Mapping[str, str]) -> Dict[str, Any]:
    """Return the values of the texts of a file. A text that is not JSON, as other programs write it, stays a text."""
    return {name: _value(name, text) for name, text in texts.items()}


def _value(name: str, text: str) -> Any:
    if name in _TEXTS:
        return text
    try:
        return parse_json(text, finite=name not in _INFINITE)
    except ValueError:
        return text
