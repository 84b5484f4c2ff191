"""`python -m warmup add`: from a model's name to a script in `inference/`, by what the Hub says of it."""
