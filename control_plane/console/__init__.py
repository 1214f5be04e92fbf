"""The web console: Django admin in django-unfold's clothes, and its pages."""
