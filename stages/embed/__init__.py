"""Units to vectors: one module per encoder."""
