"""Training: named dataset versions in, one verified ONNX graph out."""
