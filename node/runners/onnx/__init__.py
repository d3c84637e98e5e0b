"""The inference runner, a program of its own: `python node/runners/onnx --provider CPUExecutionProvider --threads 2`.

It imports the standard library, numpy, onnx, onnxruntime and `jobs.model_check`, and nothing else of ours.
"""
