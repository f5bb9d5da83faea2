"""The outside world: executors, lake, blobs. Imports schemas only."""
