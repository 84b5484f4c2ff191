"""Every number that README and docs/speed.md claim, by one command: `make bench`."""
