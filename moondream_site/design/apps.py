from django.apps import AppConfig


class DesignConfig(AppConfig):
    name = "moondream_site.design"
    label = "design"
