"""How the console writes dates: Django's FORMAT_MODULE_PATH."""
