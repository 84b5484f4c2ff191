"""Language models: one graph, one cache, one loop from prompt to text."""
