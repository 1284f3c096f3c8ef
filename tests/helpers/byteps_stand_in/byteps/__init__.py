"""A stand-in for BytePS, which runs on CUDA only: the part of its interface that the package uses."""
