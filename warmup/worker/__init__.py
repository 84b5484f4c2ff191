"""What the warm-up Lambda does: fetches, verifies, prepares, publishes and prunes models."""
