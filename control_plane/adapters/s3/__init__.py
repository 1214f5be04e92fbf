"""Artifacts in a bucket: of Amazon's S3, or of any store that speaks it."""
