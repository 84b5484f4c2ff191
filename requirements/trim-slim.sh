#!/bin/sh
# Removes from a folder of packages what no slim endpoint ever loads: tests, onnxruntime's offline tools, and a second
# copy of its library that is there for programs in C. The image and the benchmark's own environment both run this.
set -eu
cd "$1"
find . -type d -name tests -prune -exec rm -r {} +
rm -r onnxruntime/capi/libonnxruntime.so* onnxruntime/quantization onnxruntime/tools onnxruntime/transformers
