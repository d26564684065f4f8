"""
Progress: bars on a terminal and in a notebook, lines elsewhere, and sharing the terminal with other output.

    arguments        checking the arguments of a progress tracker
    bar              one bar, drawn by tqdm
    drawing          when bars are drawn, and by which thread
    epochs           EpochTracker and epoch_context
    held_lines       lines without an end, held back until they end
    keyboard         keeping bars away while the script asks a question
    loops            ProgressTracker and progress_context
    notebook         bars in notebooks without ipywidgets
    pace             when progress is written as a line
    shadows          attributes that are replaced while bars are open
    shared_terminal  other output above the bars
    texts            progress in words
"""
