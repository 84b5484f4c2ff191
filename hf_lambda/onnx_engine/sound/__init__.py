"""Prepared models of sound: samples to features to the graph, and what is heard there as text or labels."""
