"""Preparing models of sound: wav2vec2 and its relatives, AST, Whisper."""
