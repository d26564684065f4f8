"""
Values: users' values, made safe to store and to show. All other packages use this one.

    definitions  definitions by name or by pattern, as `define_metric` makes them
    goals        whether the lowest or the highest value of a metric is the best
    jsonable     any Python value as JSON
    levels       the ten levels by name and number
    loaded       objects of modules that are loaded already, without importing them
    masking      masking the secrets in a record's fields
    moments      times and ages written as texts
    names        names that are safe as paths, and new ids
    near         words that are spelled like another one
    paths        users' paths, and the folder of runs
    patterns     shell patterns matched in linear time
    printable    text made safe for a terminal
    quantities   numbers, durations and sizes written for people
    scalars      objects that stand for one value, such as a numpy scalar
    secrets      finding secrets
    settings     every environment variable
    shapes       objects that hold several values, such as a config
    spelled      a stored value as a person writes it
    terminal     whether a stream is a terminal or a notebook, and takes colours
    texts        any Python value as a short text
    twins        two values of one name: both are kept
"""
