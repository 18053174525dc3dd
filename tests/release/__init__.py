"""Whether a checkout may be released, and whether what is built of it is what people get. Not shipped."""
