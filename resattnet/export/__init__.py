"""Trained networks in other formats: ONNX, MXNet symbols, INT8, float16."""
