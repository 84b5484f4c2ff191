"""Encoder-decoder models: summarization, translation, text2text generation."""
