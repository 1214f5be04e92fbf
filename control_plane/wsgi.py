"""The control plane as a WSGI application."""

import os

from django.core.wsgi import get_wsgi_application

from control_plane.adapters.tracing import start_tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "control_plane.settings")

# Before the application is made: it puts a middleware before the others.
start_tracing("api")
application = get_wsgi_application()
