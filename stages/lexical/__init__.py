"""Words: how texts and questions become the terms of a lexical index."""
