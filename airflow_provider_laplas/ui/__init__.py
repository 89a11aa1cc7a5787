"""The Transcript tab: a web application in Airflow's API server, which loads it at the first request."""
