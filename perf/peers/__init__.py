"""The same ONNX networks served by Nereid and by its peers: `python -m perf.peers`."""
