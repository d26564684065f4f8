"""
Delivery: the journal, read onwards for each integration, in a process that the training does not depend on.

    handover    in the training process: gives integrations to the delivery process, looks after it, waits at exit
    process     the delivery process, `python -m refunc.delivery`
    sync        the same for runs at rest: `refunc sync`
    courier     a thread for one integration, with a subscription for each run
    subscription    one run for one integration: windows, retries, dead letters
    cursor      how far a subscription is, on disk

Live delivery, delivery after an outage and `refunc sync` after a crash are the same code: the journal is the queue.
"""
