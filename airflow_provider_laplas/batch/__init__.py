"""Batches of files: submit them, wait for them, and log the progress."""
