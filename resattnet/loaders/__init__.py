"""Samplers, and loaders of batches: from memory, from files as they are needed, and by NVIDIA DALI."""
