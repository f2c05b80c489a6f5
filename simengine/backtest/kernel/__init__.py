"""The compiled accounting. It imports numpy and numba only.

`layout` says what it works on, `step` carries an account through one bar, and the drivers take it
through many: `single` (one symbol), `shared` (several symbols on one account) and `many` (a sweep).
"""
