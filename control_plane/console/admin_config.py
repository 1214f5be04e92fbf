"""Django admin with the console's site; settings list it in place of `django.contrib.admin`."""

from django.contrib.admin.apps import AdminConfig


class ConsoleAdminConfig(AdminConfig):
    default_site = "control_plane.console.site.ConsoleSite"
