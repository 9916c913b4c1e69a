"""Recipes: what a run may be asked for, as strict types, and the shipped recipes as YAML with their sources.

Takes a recipe's name or file and changes to it; gives a checked recipe, or an error that names the key. It imports
nothing of the rooms above it. Open `recipe.py` first; `config.py` reads the YAML.
"""
