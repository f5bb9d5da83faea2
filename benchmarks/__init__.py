"""Side-by-side measurements against the bare limit: the same decoder and model in a plain loop."""
