"""Models of images: classification, features, detection, segmentation, depth, zero-shot."""
