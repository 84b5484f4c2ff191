"""Stand-ins for what the Pulumi CLI starts: a language host, and the providers of aws and docker."""
