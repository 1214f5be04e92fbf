"""The outside behind the ports: Triton, disk, Celery."""
