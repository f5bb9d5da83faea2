"""Compute: values in, values out. Imports schemas only; no Ray, Prefect or Delta."""
