"""The Pulumi program under the mock monitor, and the functions that it declares."""
