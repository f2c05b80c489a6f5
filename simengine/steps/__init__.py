"""The steps of a run, each plain data in and plain data out; `simengine.pipeline` strings them together.

parts -> prepare -> learn -> infer -> trade -> judge, and `manifest` beside them.
"""
