"""Pre- and postprocessing as data: what a `transform.yaml` says, checked, and run over batches.

Read twice: by Triton, which runs transforms, and by what looks into uploads, which checks them. It
needs the standard library, numpy, pydantic and PyYAML, and imports nothing else of Nereid; single
ops need Pillow or tokenizers.
"""
