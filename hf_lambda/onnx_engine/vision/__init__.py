"""Tasks of images on a prepared model: Pillow, numpy and onnxruntime alone."""
