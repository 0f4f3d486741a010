"""Export a trained network: an ONNX file, or a folder in Hugging Face's layout."""
