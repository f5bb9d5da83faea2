"""A small picture of one unit, drawn from its source when somebody wants to see it."""
