"""More text about units: descriptions of pictures and sounds, and the questions that passages answer."""
