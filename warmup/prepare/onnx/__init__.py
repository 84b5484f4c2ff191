"""What works on ONNX graphs, whatever the model family."""
