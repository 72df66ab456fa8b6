"""A Django project as a user would have it."""
