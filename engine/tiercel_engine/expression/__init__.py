"""The expression language: Pebble templates with Kestra's functions and filters.

`render.Renderer` renders, `analysis.analyse` tells what a template refers to. The package is pure:
clock, randomness and whatever reads the world come in through `context.RenderContext`.
"""
