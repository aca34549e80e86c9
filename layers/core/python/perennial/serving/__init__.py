"""Serving: a model bundle becomes an answer. Imports the standard library, numpy and onnxruntime only, since every
import here is paid for at each cold start."""
