"""What the operator's machine does: invokes the warm-up, shows its progress, asks the endpoints."""
