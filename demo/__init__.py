"""A real Airflow and a real speech-to-text server on this machine, to try the provider out."""
