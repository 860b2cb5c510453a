"""Inference: texts to vectors on ONNX Runtime, without torch and without a network."""

from shortlist.models.encoder import Encoder, QueryVectors, Views

__all__ = ["Encoder", "QueryVectors", "Views"]
