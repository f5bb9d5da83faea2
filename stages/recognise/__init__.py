"""Reading what was decoded: OCR, speech to text, sound tags."""

import os

# Unless this is set before it loads, onnxruntime reports its use to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
