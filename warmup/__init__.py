"""The warm-up: fills the model cache, prepares models for fast loading, asks every endpoint."""
