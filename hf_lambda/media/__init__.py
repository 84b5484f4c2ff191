"""Images and sound in requests: the types of events, decoding within limits, answers that JSON can hold."""
