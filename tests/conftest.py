from hypothesis import settings

from simengine.plugin.pytest_plugin import simengine_registry

__all__ = ["simengine_registry"]

settings.register_profile("simengine", deadline=None)
settings.load_profile("simengine")
