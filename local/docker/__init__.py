"""The container engine: finds it, and builds the images of inference/Dockerfile."""
