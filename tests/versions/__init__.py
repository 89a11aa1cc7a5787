"""The columns of the matrix of versions: what is installed in each, and what is run."""
