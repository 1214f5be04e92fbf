"""From a routing policy and model versions to the files that Triton serves."""
