"""Models that become part of an endpoint's image: fetched by the operator, prepared while it is built."""
