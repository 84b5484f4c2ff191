"""Every number that the README claims, by one command: `make bench`."""
