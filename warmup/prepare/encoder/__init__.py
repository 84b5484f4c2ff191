"""Encoders: classification, token classification, question answering, fill-mask, features."""
