from simengine.plugin.pytest_plugin import simengine_registry

__all__ = ["simengine_registry"]
