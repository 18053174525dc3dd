"""Our times, memory and size beside those of others: each pair in turn, in one run, over real sockets."""
