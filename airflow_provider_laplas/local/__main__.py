"""`python -m airflow_provider_laplas.local`, the same as the command `laplas-local`."""

from airflow_provider_laplas.local.cli import main

if __name__ == "__main__":
    main(prog_name="laplas-local")
