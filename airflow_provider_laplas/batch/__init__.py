"""Many files: submit them, wait for them, say how far they are."""
