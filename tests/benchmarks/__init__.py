"""What the provider costs, beside what one would use otherwise: ``python -m tests.benchmarks``."""
