"""The control plane as a WSGI application."""

from django.core.wsgi import get_wsgi_application

from control_plane.adapters.tracing import start_tracing
from control_plane.starting import set_up

set_up()
# Before the application is made: it puts a middleware before the others.
start_tracing("api")
application = get_wsgi_application()
