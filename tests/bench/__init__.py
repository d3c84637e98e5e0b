"""What kilnet costs beside plain Blender and bare ONNX Runtime, as ratios within one run: `make bench`."""
