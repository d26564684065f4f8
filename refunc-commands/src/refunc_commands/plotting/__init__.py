"""
Curves, bands and scatters of metrics: which ones there are, and drawing them in the terminal or into a picture.

    charts    the charts of a question: their curves and axes
    patterns  metrics that are named by a pattern
    picture   charts as a file, by matplotlib
    terminal  charts as text
"""
