"""A page to try a stack's endpoints in: forms from their signatures, answers, costs, logs.

`records`: what the page gets. `backend`: what it can ask of a stack; `on_this_machine` and `on_aws`: the two
kinds. `server`: who may ask, and what is answered. `page`: plain HTML, CSS and modules, served as they are.
"""
