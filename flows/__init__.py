"""Prefect flows and the command line. `flows.wiring` is the only place that picks classes."""
