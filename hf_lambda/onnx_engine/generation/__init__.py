"""Generation over onnxruntime sessions with numpy: in fp32 the very tokens of transformers' `generate`."""
