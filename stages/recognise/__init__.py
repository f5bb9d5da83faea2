"""Reading what was decoded: OCR, speech to text, sound tags."""
