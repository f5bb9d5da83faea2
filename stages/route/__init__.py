"""A query to routes, routes to hits, hits to metrics."""
