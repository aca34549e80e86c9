"""The stacks of an environment, as tables of contents: data, loop, serving."""
