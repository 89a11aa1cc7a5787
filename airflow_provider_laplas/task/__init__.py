"""Task objects: the logic behind the operators, the sensor and the decorator."""
