"""Engines that compute networks in place of MXNet, and the ONNX models that they take."""
