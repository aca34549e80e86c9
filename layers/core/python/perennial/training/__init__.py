"""Training: named dataset versions in, one verified ONNX graph out.

request → data (features, label) → split → pipeline (fitted) → export (one graph) → parity (the gate) → golden → run.
"""
