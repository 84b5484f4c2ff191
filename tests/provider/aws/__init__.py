"""An AWS on loopback: moto, with what it lacks of this program's calls, refusing what AWS refuses."""
