"""The Lambda service on one machine: Invoke API, instances, emulator, containers, sandbox."""
