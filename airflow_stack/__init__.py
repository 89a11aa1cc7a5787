"""A real Airflow of four processes in a temporary folder, its REST client, and the servers beside it."""
