"""Decoder-only language models: the graph is written straight from the safetensors, without torch."""
