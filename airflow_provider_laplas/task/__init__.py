"""One Airflow task: what it does, as objects that operators, the sensor and the decorator hold."""
