"""Generation over onnxruntime sessions with numpy: token for token what transformers' `generate` gives in fp32."""
