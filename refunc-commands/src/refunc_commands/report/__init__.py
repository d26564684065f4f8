"""
A report of one or more runs: one self-contained HTML file that opens offline.

`content` gathers the data of the page as plain JSON; `page` inserts it, the style and the script into the frame, with
the modules of `refunc_commands.charts`. The page's script inserts data as text and never as markup, so no text of a
user can become a part of the page.

    content  the data of the page as JSON
    curves   the curves in it
    page     putting the page together
    room     bounds on its size
"""
