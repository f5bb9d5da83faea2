"""Going over to another space without embedding everything first: a map between the two."""
