"""The plugin system: components, kinds, hooks and the registry."""
