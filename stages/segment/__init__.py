"""`Content` to `Unit`s: one module per modality."""
