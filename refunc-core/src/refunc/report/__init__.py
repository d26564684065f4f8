"""
A report of one or more runs: one HTML file that opens anywhere, offline, and asks nobody for anything.

`content` gathers what the page shows as plain JSON; `page` puts it, the style and the script into the frame. The page's
script makes text of it and never markup, so nothing that a user has written can become a part of the page.
"""
