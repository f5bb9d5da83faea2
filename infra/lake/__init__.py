"""Delta tables, completions and their one committer."""
