"""Reports: pages, tables and pictures of runs and predictions.

Takes run directories or rows of predictions; gives HTML, Markdown, PNG, SVG and TextGrid files. Pages come from
`templates/`, every picture from here. Open `report.py` first; `pages.py` fills templates, `figures.py` draws.
"""
