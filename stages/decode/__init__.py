"""File to `Content`: one module per kind of file, chosen by what the bytes are."""
