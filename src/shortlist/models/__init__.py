"""Inference: texts to vectors on ONNX Runtime, without torch and without a network."""

from shortlist.models.encoder import Encoder, Views

__all__ = ["Encoder", "Views"]
